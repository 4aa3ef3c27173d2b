"""Reads tagged output as it streams: which characters are words, which are a prompt, which are a tag.

A protocol describes its tags (`Tag`); `Grammar` compiles them; `TagParser` reads. Knows no model and no prompt text.
Rules for every protocol: case and inner spaces do not matter; a suffix that may yet become a tag is held back; tags,
also stray ones, never become visible; any split of the output into chunks gives the same words and the same reply.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from models.contracts import DrawSegment, Reply, Segment, TextSegment

SPACE = r"\s*+"
LESS, GREATER = "[<＜]", "[>＞]"
"""Full-width brackets are what a Chinese model sometimes writes."""
JOINT = "\u200b"
"""Stands in the words where a dropped tag would otherwise leave two halves that read as a new tag."""
_CONTROL = re.compile(r"<\|[^<>|\s]{1,40}\|>")
_HARMLESS = str.maketrans({"<": "‹", "＜": "‹", ">": "›", "＞": "›", "[": "［", "]": "］"})

Atom = str | tuple[str, str]
"""A regex of one piece of a tag, or (whole, cut off): what the piece looks like when the output ends inside it."""


class Mark(StrEnum):
    """What a tag does."""

    OPEN = "open"
    """A request begins; what follows is its prompt."""
    CLOSE = "close"
    """Ends the request that is open, whatever its name (mismatched closers are forgiven); dropped elsewhere."""
    SIGNAL = "signal"
    """A request without a body: the words since the last request are its caption (NExT-GPT)."""
    CODE = "code"
    """A picture token without words (SEED); inside a request it says that the picture is there, in codes."""
    DROP = "drop"
    """Not for us (video, audio): never visible, nothing happens."""


@dataclass(frozen=True)
class Tag:
    """One spelling. `atoms` concatenated are the whole tag; any prefix of them is a tag cut off by a chunk's end."""

    mark: Mark
    atoms: tuple[Atom, ...]
    action: str = "draw"
    number: str = ""
    """Regex whose first group is `DrawSegment.index` within the tag (an attribute), or ""."""


_ATTRIBUTE = r"[\w-]++\s*+=\s*+[\"']?[^\"'<>=]{0,40}[\"']?\s*+"
ATTRIBUTES: Atom = (rf"(?:{_ATTRIBUTE}){{0,4}}", rf"(?:{_ATTRIBUTE}){{0,4}}[\w-]*+\s*+")
"""`id="1" prev_id="2"`: up to four short attributes."""


def bracket(name: str, closing: bool = False, attributes: bool = False) -> tuple[Atom, ...]:
    """The atoms of `<name>` or `</name>`, with spaces allowed around the name, `/` and attributes."""
    slash = (r"[/／]", SPACE) if closing else ()
    more: tuple[Atom, ...] = (ATTRIBUTES,) if attributes else ()
    return (LESS, SPACE, *slash, *(re.escape(c) for c in name), SPACE, *more, GREATER)


def square(name: str) -> tuple[Atom, ...]:
    """The atoms of `[NAME0]`, `[NAME1]`…"""
    return (r"\[", SPACE, *(re.escape(c) for c in name), "[0-9]{1,5}", SPACE, r"\]")


def numbered(name: str) -> tuple[Atom, ...]:
    """The atoms of `<name_00012>`."""
    return (LESS, SPACE, *(re.escape(c) for c in name), "_", "[0-9]{1,6}", SPACE, GREATER)


class Grammar:
    """The tags of a protocol, compiled."""

    def __init__(self, tags: tuple[Tag, ...], keep_empty: bool = False) -> None:
        self.tags = tags
        self.keep_empty = keep_empty
        """Keep a request without a prompt: in SEED and NExT-GPT a picture may come without any words."""
        whole = "|".join(f"({''.join(_whole(a) for a in tag.atoms)})" for tag in tags)
        self.whole = re.compile(whole, re.IGNORECASE)
        self._cut = re.compile(f"(?:{'|'.join(_cut(tag.atoms) for tag in tags)})\\Z", re.IGNORECASE)

    def tag(self, match: re.Match[str]) -> Tag:
        """The tag a match of `whole` stands for."""
        return self.tags[(match.lastindex or 1) - 1]

    def cut(self, text: str) -> int:
        """Where a suffix begins that could yet become a tag; len(text) if there is none."""
        found = self._cut.search(text)
        return found.start() if found else len(text)

    def escape(self, text: str) -> str:
        """Text typed by the user, with tags spelled so that no parser and no tokenizer takes them for one."""
        text = self.whole.sub(lambda m: m.group().translate(_HARMLESS), text)
        return _CONTROL.sub(lambda m: m.group().translate(_HARMLESS), text)

    def read(self, raw: str) -> Reply:
        """A finished output as a reply."""
        parser = TagParser(self)
        parser.feed(raw)
        return parser.finish()[1]


def _whole(atom: Atom) -> str:
    return atom if isinstance(atom, str) else atom[0]


def _cut(atoms: tuple[Atom, ...]) -> str:
    """A regex for every proper or improper prefix of a tag that holds at least its first atom."""
    pattern = ""
    for atom in reversed(atoms[1:]):
        part = "" if isinstance(atom, str) else atom[1]
        pattern = f"(?:{_whole(atom)}{pattern}|{part})"
    return _whole(atoms[0]) + pattern


class TagParser:
    """Reads one output in chunks. The words it returns, joined, are `Reply.say` of the reply it ends with."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._raw: list[str] = []
        self._held = ""
        self._segments: list[Segment] = []
        self._words: list[str] = []
        """Words of the segment that is open, without the spaces at both ends."""
        self._gap = ""
        """Spaces after `_words`: they become visible when another word follows."""
        self._spoken = False
        self._body: list[str] | None = None
        """Pieces of the prompt while a request is open."""
        self._open: DrawSegment = DrawSegment("")
        self._coded = False
        self._caption = ""
        self._signal = -1

    def feed(self, chunk: str) -> str:
        """Take raw output, return the visible words that are certain by now (possibly "")."""
        self._raw.append(chunk)
        return "".join(self._lex(self._held + chunk))

    def finish(self) -> tuple[str, Reply]:
        """End of output: the remaining visible words, and the whole reply. A tag cut off by the end is dropped."""
        rest, self._held = self._held, ""
        visible = "" if re.search(r"[\w/／]", rest) else self._text(rest)
        self._close_request()
        self._close_words()
        return visible, Reply("".join(self._raw), tuple(self._segments))

    def _lex(self, text: str) -> Iterator[str]:
        position = 0
        for match in self._grammar.whole.finditer(text):
            yield self._text(text[position : match.start()])
            yield self._tag(self._grammar.tag(match), match.group())
            position = match.end()
        rest = text[position:]
        safe = self._grammar.cut(rest)
        self._held = rest[safe:]
        yield self._text(rest[:safe])

    # ------------------------------------------------------------ text
    def _text(self, piece: str) -> str:
        if self._body is None:
            return self._say(piece)
        if self._coded and piece.strip():
            self._close_request()
            return self._say(piece.lstrip())
        self._body.append(piece)
        return ""

    def _say(self, piece: str) -> str:
        """Words to show: spaces around a segment stay out, segments are set apart by a blank line."""
        text = self._gap + piece
        if not self._words:
            text = text.lstrip()
        shown = text.rstrip()
        self._gap = text[len(shown) :]
        if not shown:
            return ""
        apart = "\n\n" if self._spoken and not self._words else ""
        self._words.append(shown)
        self._spoken, self._signal = True, -1
        return apart + shown

    # ------------------------------------------------------------ tags
    def _tag(self, tag: Tag, spelled: str) -> str:
        joint = self._joint() if self._body is None else ""
        if tag.mark is Mark.OPEN:
            self._open_request(tag, spelled)
        elif tag.mark is Mark.CLOSE:
            self._close_request()
        elif tag.mark is Mark.SIGNAL:
            self._take_signal(spelled)
        elif tag.mark is Mark.CODE:
            self._coded = self._body is not None
        return joint

    def _joint(self) -> str:
        """A mark after words that could begin a tag, so that what follows the dropped tag cannot complete it."""
        words = "".join(self._words)
        return self._say(JOINT) if self._grammar.cut(words + self._gap) < len(words) else ""

    def _open_request(self, tag: Tag, spelled: str) -> None:
        self._close_request()
        self._close_words()
        found = re.search(tag.number, spelled, re.IGNORECASE) if tag.number else None
        self._open = DrawSegment("", tag.action, int(found.group(1)) if found else None)
        self._body, self._coded = [], False

    def _close_request(self) -> None:
        if self._body is None:
            return
        prompt = "".join(self._body).strip()
        self._body = None
        if self._open.action == "refer":
            prompt = "" if prompt.isdecimal() else prompt
        self._request(prompt)

    def _request(self, prompt: str) -> None:
        if not prompt and self._grammar.keep_empty:
            prompt = self._caption
        if prompt or self._grammar.keep_empty:
            action = "draw" if self._open.action == "draw" else "edit"
            self._segments.append(DrawSegment(prompt, action, self._open.index))

    def _take_signal(self, spelled: str) -> None:
        """The first signal of a run asks for the picture; those that count on from it belong to the same run."""
        number = int(re.sub(r"\D", "", spelled))
        goes_on = -1 < self._signal < number
        self._signal = number
        if not goes_on:
            self._close_request()
            self._close_words()
            self._open = DrawSegment("")
            self._request("")

    def _close_words(self) -> None:
        if self._words:
            self._caption = "".join(self._words)
            self._segments.append(TextSegment(self._caption))
        self._words, self._gap = [], ""
