"""What the four protocols share: the prompt side of a conversation, and the spelling of turns that are past.

Knows no tag by itself: each protocol brings its `Grammar`. Prompt texts are files under resources/prompts/.
"""

import re
from functools import cache

from models.contracts import Decision, DrawSegment, ImageRef, Message, PastTurn, Reply, TurnRequest
from models.protocols.parsing import Grammar, TagParser
from resources import resource

_SOLUTION = re.compile(
    r"^[\s*#]*(?:correct(?:ed)?\s+(?:solution|output|answer)|正确(?:的)?(?:输出|答案|回答)|修正后(?:的)?(?:输出|回答))[\s*]*[:：][\s*]*",
    re.IGNORECASE | re.MULTILINE,
)
_CORRECTION = re.compile(r"^[\s*#]*(?:correction|纠正|修正)[\s*]*[:：]", re.IGNORECASE)


@cache
def prompt_text(*parts: str) -> str:
    """A prompt file under resources/prompts/, byte for byte (a fine-tuned model was trained on exactly these)."""
    return resource("prompts", *parts).read_bytes().decode("utf-8")


def split_correction(raw: str) -> tuple[str, str]:
    """The output of the second step as (EC, r2) of DialogGen equation 4: the correction, and the suitable output.

    "Correction: …" then "Correct Solution: …" (the paper's Example 4). Without that heading all of it is the output,
    unless it is a correction alone: then r2 is "" and the first output stands.
    """
    found = list(_SOLUTION.finditer(raw))
    if found:
        return raw[: found[-1].start()].strip(), raw[found[-1].end() :].strip()
    return (raw.strip(), "") if _CORRECTION.match(raw) else ("", raw.strip())


class TagProtocol:
    """A protocol whose drawing requests are tags in the text. Subclasses name their tags, decision and spelling."""

    name: str
    decision: Decision
    stop: tuple[str, ...] = ()
    grammar: Grammar

    def __init__(self, every_tag: Grammar) -> None:
        self._every_tag = every_tag
        """All protocols' tags, to recognise a past turn that another model wrote."""

    # ------------------------------------------------------------ prompt side
    def system(self, request: TurnRequest) -> str:
        """The system part, or "" for none. Must not change while a conversation goes on."""
        return ""

    def messages(self, request: TurnRequest, vision: bool) -> tuple[Message, ...]:
        """System part, history and the user's message; only the new turn is added to what the last turn saw.

        Pictures stand on the message of the user who attached them. Pictures the director had drawn are not fed back
        unless the user attaches them (DialogGen's own demo does the same): the past prompts say what was drawn.
        """
        system = self.system(request)
        messages = [Message("system", system)] if system else []
        for index, past in enumerate(request.history):
            messages.append(self._user(past.text, past.images, index, vision))
            messages.append(Message("assistant", self.past(past), turn=index))
        messages.append(self._user(request.text, request.images, len(request.history), vision))
        return tuple(messages)

    def correction(self, request: TurnRequest, first: Reply, vision: bool) -> tuple[Message, ...]:
        """q_t and r_1 followed by the correction prompt P_c (DialogGen §5.2, equation 4).

        The paper writes P_c ⊕ q ⊕ r; here P_c comes last, so that q and r_1 are still in the prefix cache.
        """
        turn = len(request.history)
        answer = Message("assistant", first.raw, turn=turn)
        return (*self.messages(request, vision), answer, Message("user", self.correction_prompt(), turn=turn))

    def correction_prompt(self) -> str:
        """P_c, "" being impossible: every protocol has a file."""
        return prompt_text(self.name, "correction.txt")

    def _user(self, text: str, images: tuple[ImageRef, ...], turn: int, vision: bool) -> Message:
        text = self.grammar.escape(text)
        if vision or not images:
            return Message("user", text, images, turn)
        marks = " ".join(f"[picture {i.number}]" if i.number is not None else "[picture]" for i in images)
        return Message("user", f"{marks} {text}".strip(), turn=turn)

    # ------------------------------------------------------------ parse side
    def parser(self) -> TagParser:
        """A fresh parser for one reply."""
        return TagParser(self.grammar)

    # ------------------------------------------------------------ past turns
    def past(self, turn: PastTurn) -> str:
        """The raw output as it was, if this protocol can read it; else the same turn spelled in this protocol.

        Either way the prompt of what was drawn is in it, so that "what was the prompt?" has an answer in the record.
        """
        if self._is_ours(turn):
            return turn.raw_output
        reply = self._every_tag.read(turn.raw_output)
        return self.spell(reply.say, _without_repeats(turn.prompts))

    def spell(self, say: str, prompts: tuple[str, ...]) -> str:
        """A drawn turn as this protocol would have written it."""
        raise NotImplementedError

    def _is_ours(self, turn: PastTurn) -> bool:
        """Nothing was drawn, or every request is readable here and says its prompt."""
        draws: tuple[DrawSegment, ...] = self.grammar.read(turn.raw_output).draws
        return not turn.prompts or (bool(draws) and all(d.prompt for d in draws))


def _without_repeats(prompts: tuple[str, ...]) -> tuple[str, ...]:
    """Variations of one request share a prompt: it is told once."""
    return tuple(dict.fromkeys(prompts))
