"""Templated drawing sessions over the starter painter's subjects: ask, edit, ask about it, edit again.

They teach what must be exact (an edit keeps the rest of the prompt word for word, a picture's fields are read) and
cover the painter's own vocabulary; the hand-written dialogues teach how people talk. Knows no tokens.
"""

import json
import random
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from models.training.director.dialogues import Dialogue, Picture, Turn, join_prompt
from models.training.scenes.vocabulary import BACKGROUNDS, LENSES, STYLES, Subject, labels, painter_subjects

DATA = Path(__file__).resolve().parents[1] / "data"
LANGUAGES = ("en", "zh")
DEFAULT_STYLE, DEFAULT_LENS = "3D render", "medium shot"
HOMES = {
    "tropical fish": "under the sea", "octopus": "under the sea", "turtle": "under the sea", "penguin": "the polar ice",
    "rocket": "outer space", "flying saucer": "outer space", "star": "a starry night", "snowman": "a snowy mountain",
    "sailboat": "a river", "automobile": "a city skyline", "bus": "a city skyline", "balloon": "a blue sky with clouds",
    "dragon face": "a castle", "jack-o-lantern": "a starry night", "house": "a green meadow", "cactus": "a desert",
    "owl": "a forest", "bear": "a forest", "koala": "a forest", "teapot": "a kitchen", "crown": "plain pink",
}  # fmt: skip
"""Where a subject stands when the user does not say; animals and plants otherwise get a meadow, things plain white."""


@cache
def phrases() -> dict[str, Any]:
    """Wordings by kind, each as a pair (en, zh)."""
    loaded: dict[str, Any] = json.loads((DATA / "phrases.json").read_text(encoding="utf-8"))
    return loaded


@cache
def facts() -> dict[str, dict[str, Any]]:
    """What may be said about each subject: {label: {"many", "eat"?, "live"?, "fact"}}."""
    loaded: dict[str, dict[str, Any]] = json.loads((DATA / "facts.json").read_text(encoding="utf-8"))
    return loaded


def with_article(words: str) -> str:
    """ "owl" → "an owl"; "UFO" → "a UFO"."""
    return ("an " if words[0].lower() in "aeio" or words.startswith("umbrella") else "a ") + words


@dataclass
class Session:
    """A conversation being made: the picture's present fields (English keys) and the turns so far."""

    lang: str
    rng: random.Random
    subject: Subject
    name: str
    adjective: str = ""
    extras: list[tuple[str, str, str, str]] = field(default_factory=list)
    background: str = "plain white"
    lens: str = DEFAULT_LENS
    style: str = DEFAULT_STYLE
    turns: list[Turn] = field(default_factory=list)

    def pick(self, kind: str) -> str:
        """A wording of `kind` in this session's language."""
        return str(self.rng.choice(phrases()[kind][LANGUAGES.index(self.lang)]))

    def word(self, table: dict[str, str], key: str) -> str:
        """A field's phrase in this session's language."""
        return key if self.lang == "en" else table[key]

    def thing(self) -> str:
        """The subject phrase without what was added: "a little fox" / "一只可爱的狐狸"."""
        if self.lang == "zh":
            return f"一{self.subject.measure}{self.adjective}{self.name}"
        return with_article(f"{self.adjective} {self.name}".strip())

    def prompt(self) -> str:
        """The drawing prompt of the picture as it stands."""
        thing = self.thing()
        for extra in self.extras:
            thing = f"{thing} {extra[1]}" if self.lang == "en" else f"{thing}，{extra[3]}"
        fields = (self.word(BACKGROUNDS, self.background), self.word(LENSES, self.lens), self.word(STYLES, self.style))
        return join_prompt(thing[0].upper() + thing[1:], *fields, self.lang)

    def fill(self, text: str, **more: str) -> str:
        """Put the present words into a wording."""
        thing = self.thing()
        words = {"n": self.name, "x": thing, "X": thing[0].upper() + thing[1:], "m": self.many(), **more}
        return text.format(**words)

    def many(self) -> str:
        """The subject's plural (English), or its name."""
        known = facts().get(self.subject.label)
        return str(known["many"]) if known and self.lang == "en" else self.name

    def say(self, user: str, answer: str, picture: Picture | None = None) -> None:
        """Append a turn answered in words."""
        self.turns.append(Turn(user, answer, None, picture, "qa"))

    def draw(self, user: str, kind: str, picture: Picture | None = None, instruction: str = "editing") -> None:
        """Append a turn answered with the picture as it now stands."""
        self.turns.append(Turn(user, self.fill(self.pick(kind)), self.prompt(), picture, instruction))

    def place(self, background: str) -> str:
        """Words for standing in front of `background`."""
        return str(self.rng.choice(phrases()["places"][background][LANGUAGES.index(self.lang)]))

    def style_words(self, style: str) -> str:
        """What a user may call `style`."""
        return str(self.rng.choice(phrases()["styles"][style][LANGUAGES.index(self.lang)]))


def start(lang: str, rng: random.Random) -> Session:
    """A session about a random subject of the painter's, nothing said yet."""
    subject = rng.choice(list(painter_subjects().values()))
    name = rng.choice(subject.en if lang == "en" else subject.zh)
    session = Session(lang, rng, subject, name)
    if rng.random() < 0.4:
        adjective = rng.choice(subject.adjectives_en if lang == "en" else subject.adjectives_zh)
        session.adjective = "" if adjective in name or adjective.rstrip("的") in name else adjective
    living = subject.animal or subject.label in ("tulip", "rose", "sunflower", "mushroom", "Christmas tree")
    session.background = HOMES.get(subject.label, "a green meadow" if living else "plain white")
    return session


def first_picture(session: Session) -> None:
    """The opening request: the subject, often a place, sometimes a style."""
    rng, request = session.rng, session.fill(session.pick("draw_requests"))
    tail = ""
    if request[-1] in ".?？":
        request, tail = request[:-1], request[-1]
    place = ""
    if rng.random() < 0.75:
        session.background = rng.choice(list(BACKGROUNDS))
        place = session.place(session.background)
    style = ""
    if rng.random() < 0.3:
        session.style = rng.choice(list(STYLES))
        style = session.style_words(session.style)
    session.draw(_opening(session, request, place, style) + tail, "say_drawn", instruction="generation")


def _opening(session: Session, request: str, place: str, style: str) -> str:
    if session.lang == "en":
        polite = next((end for end in (", please", " please") if request.endswith(end)), "")
        return request.removesuffix(polite) + (f" {place}" if place else "") + (f", {style}" if style else "") + polite
    thing = session.thing()
    if place and session.rng.random() < 0.6:
        place = place if place.endswith("的") else place + "的"
        inside = thing if session.rng.random() < 0.3 else f"一{session.subject.measure}{place}{session.name}"
        if inside != thing:
            session.adjective = ""
            request = request.replace(thing, inside)
            place = ""
    return request + (f"，{place}" if place else "") + (f"，{style}" if style else "")


def edit_background(session: Session) -> None:
    """Another background; night now and then in the plainest words."""
    rng = session.rng
    if session.background != "a starry night" and rng.random() < 0.25:
        session.background = "a starry night"
        session.draw(session.pick("night_requests"), "say_edited")
        return
    session.background = rng.choice([name for name in BACKGROUNDS if name != session.background])
    words = {"p": session.place(session.background), "b": session.word(BACKGROUNDS, session.background)}
    session.draw(session.fill(session.pick("background_requests"), **words), "say_edited")


def edit_style(session: Session) -> None:
    """Another style."""
    session.style = session.rng.choice([name for name in STYLES if name != session.style])
    words = session.style_words(session.style)
    session.draw(session.fill(session.pick("style_requests"), s=words), "say_edited")


def edit_lens(session: Session) -> None:
    """Nearer or further."""
    session.lens = session.rng.choice([name for name in LENSES if name != session.lens])
    wordings = phrases()["lenses"][session.lens][LANGUAGES.index(session.lang)]
    session.draw(str(session.rng.choice(wordings)), "say_edited")


def edit_entity(session: Session) -> None:
    """Another subject in the same picture."""
    other = start(session.lang, session.rng)
    old = session.name
    session.subject, session.name, session.adjective = other.subject, other.name, other.adjective
    wording = session.pick("entity_requests").format(n=old, y=session.thing())
    session.draw(wording, "say_edited")


def edit_colour(session: Session) -> None:
    """Another colour."""
    english, chinese = session.rng.choice(phrases()["colours"])
    session.adjective = english if session.lang == "en" else chinese
    for word in ("red ", "yellow ", "红色", "红", "white "):
        session.name = session.name.removeprefix(word)
    wish = session.adjective.removesuffix("的")
    session.draw(session.fill(session.pick("colour_requests"), c=wish), "say_edited")


def edit_extra(session: Session) -> None:
    """Add something, or take away what was added."""
    column = 0 if session.lang == "en" else 2
    if session.extras:
        gone = session.extras.pop()[column]
        gone = gone.split(" ", 1)[1] if gone.startswith(("a ", "an ")) else gone
        session.draw(session.fill(session.pick("remove_requests"), e=gone), "say_edited")
        return
    session.extras.append(tuple(session.rng.choice(phrases()["extras"])))
    session.draw(session.fill(session.pick("add_requests"), e=session.extras[-1][column]), "say_edited")


def ask_facts(session: Session) -> None:
    """A question about the subject itself, answered in words."""
    known = facts()[session.subject.label]
    kind = session.rng.choice([kind for kind in ("eat", "eat", "live", "fact") if kind in known])
    question = session.fill(session.pick(f"{kind}_questions"))
    session.say(question, known[kind][LANGUAGES.index(session.lang)])


def ask_picture(session: Session) -> None:
    """A question about the drawn picture's prompt, style or background."""
    kind = session.rng.choice(("prompt", "style", "background"))
    words = {
        "prompt": session.prompt(),
        "style": session.word(STYLES, session.style),
        "background": session.word(BACKGROUNDS, session.background),
    }
    session.say(session.pick(f"{kind}_questions"), session.pick(f"{kind}_answers").format(**words))


def small_talk(session: Session) -> None:
    """Thanks."""
    session.say(session.pick("thanks"), session.pick("thanks_answers"))


EDITS = (edit_background, edit_background, edit_style, edit_lens, edit_entity, edit_colour, edit_extra)
QUESTIONS = (ask_facts, ask_facts, ask_picture, small_talk)


def drawing_session(lang: str, rng: random.Random, number: int) -> Dialogue:
    """Two to five turns: a first picture (or a question), then edits and questions in any order."""
    session = start(lang, rng)
    if rng.random() < 0.1:
        session.say(session.pick("greetings"), session.pick("greeting_answers"))
    if rng.random() < 0.1:
        ask_facts(session)
    first_picture(session)
    for _ in range(rng.randint(1, 3)):
        rng.choice(EDITS if rng.random() < 0.62 else QUESTIONS)(session)
    return Dialogue(f"session-{lang}-{number}", lang, "session", tuple(session.turns))


def picture_session(lang: str, rng: random.Random, number: int) -> Dialogue:
    """An attached picture, asked about or changed at once; then an edit or a question."""
    session = start(lang, rng)
    session.adjective = ""
    session.name = session.subject.en[0] if lang == "en" else session.subject.zh[0]
    label = session.subject.label
    if rng.random() < 0.3:
        label = rng.choice(list(labels()))
        known = painter_subjects().get(label)
        session.subject = known or replace(session.subject, label=label, measure="个")
        session.name = label if lang == "en" else labels()[label]
    session.background, session.lens = rng.choice(list(BACKGROUNDS)), rng.choice(list(LENSES))
    session.style = rng.choice(list(STYLES))
    picture = Picture(label, session.background, session.lens, session.style)
    if rng.random() < 0.5:
        _ask_attached(session, picture)
    else:
        _edit_attached(session, picture)
    if rng.random() < 0.5:
        rng.choice((edit_background, edit_style, edit_lens))(session)
    return Dialogue(f"picture-{lang}-{number}", lang, "picture", tuple(session.turns))


def _ask_attached(session: Session, picture: Picture) -> None:
    kind = session.rng.choice(("what", "what", "subject", "subject", "style", "background", "lens"))
    words = {
        "n": session.name,
        "style": session.word(STYLES, session.style),
        "background": session.word(BACKGROUNDS, session.background),
        "lens": session.word(LENSES, session.lens),
    }
    session.say(session.pick(f"{kind}_questions"), session.pick(f"{kind}_answers").format(**words), picture)


def _edit_attached(session: Session, picture: Picture) -> None:
    session.rng.choice((edit_background, edit_style, edit_lens, edit_extra))(session)
    session.turns[-1] = replace(session.turns[-1], picture=picture)
