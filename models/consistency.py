"""How a new picture stays close to the one before it: reads what changed in the prompt, chooses a method.

Knows prompts and seeds only. v0 has one method, "seed" (DialogGen §4.2: locked seed, minimally edited prompt), and
"none". Further ones (attention control, img2img, IP-Adapter) are entries in `METHODS`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

EDIT_KINDS = ("entity", "add", "remove", "background", "style", "lens", "combine")
"""DialogGen's seven editing operations. Besides them `PromptEdit.kind` is "same", "mixed" (several) or "new"."""
FIELDS = ("subject", "background", "lens", "style")
MAX_CHARS = 4_000
"""Longer prompts are compared by their beginning: the comparison is quadratic in their length."""
NEW_BELOW = 0.3
"""Share of words two prompts must have in common for the second to count as an edit of the first."""

_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_]+(?:['’-][^\W_]+)*|[^\w\s]|_", re.UNICODE)
_CLAUSE = re.compile(r"[^,，.。;；\n]+")
_FIELD_WORDS = {
    "background": re.compile(r"\bbackground\b|背景", re.IGNORECASE),
    "lens": re.compile(r"\b(?:lens|camera|shot|viewing angle)\b|镜头|视角", re.IGNORECASE),
    "style": re.compile(r"\bstyle\b|风格|画风", re.IGNORECASE),
}
_JOINS = re.compile(r"\b(?:and|with|beside|next to|together)\b|和|与|以及|旁边|一起", re.IGNORECASE)


@dataclass(frozen=True)
class Piece:
    """A run of words that stayed, came or went. `field` is the clause it stands in (one of FIELDS)."""

    op: str  # "keep" | "insert" | "delete"
    text: str
    field: str


@dataclass(frozen=True)
class PromptEdit:
    """What changed from one prompt to the next. `kinds` are the operations found, in the order of EDIT_KINDS."""

    kind: str
    kinds: tuple[str, ...]
    pieces: tuple[Piece, ...]
    common: float
    """Share of words in common, 0..1 (Dice)."""


@dataclass(frozen=True)
class _Word:
    text: str
    start: int
    end: int
    field: str


def compare(before: str, after: str, earlier: Sequence[str] = ()) -> PromptEdit:
    """The edit that leads from `before` to `after`; `earlier` are older prompts (they tell a combination)."""
    before, after = before[:MAX_CHARS], after[:MAX_CHARS]
    old, new = _words(before), _words(after)
    matcher = SequenceMatcher(None, [_fold(w) for w in old], [_fold(w) for w in new], autojunk=False)
    pieces = _pieces(before, after, old, new, matcher)
    if not any(p.op != "keep" for p in pieces):
        return PromptEdit("same", (), pieces, 1.0)
    common = matcher.ratio()
    kinds = _kinds(before, after, earlier)
    if common < NEW_BELOW and "combine" not in kinds:
        return PromptEdit("new", (), pieces, common)
    return PromptEdit(kinds[0] if len(kinds) == 1 else "mixed", kinds, pieces, common)


def fields(prompt: str) -> dict[str, str]:
    """The prompt's clauses by field (DialogGen's form: subject, background, lens, style). Missing ones are absent."""
    found: dict[str, list[str]] = {}
    for _, _, field, text in _clauses(prompt):
        found.setdefault(field, []).append(text)
    return {field: ", ".join(texts) for field, texts in found.items()}


def _clauses(prompt: str) -> list[tuple[int, int, str, str]]:
    """(start, end, field, text) of every clause; what names no field belongs to the subject."""
    clauses = []
    for match in _CLAUSE.finditer(prompt):
        if text := match.group().strip():
            named = [field for field, word in _FIELD_WORDS.items() if word.search(text)]
            clauses.append((match.start(), match.end(), named[0] if named else "subject", text))
    return clauses


def _words(prompt: str) -> list[_Word]:
    clauses, index, words = _clauses(prompt), 0, []
    for match in _TOKEN.finditer(prompt):
        while index < len(clauses) - 1 and match.start() >= clauses[index + 1][0]:
            index += 1
        field = clauses[index][2] if clauses else "subject"
        words.append(_Word(match.group(), match.start(), match.end(), field))
    return words


def _fold(word: _Word) -> str:
    return word.text.casefold()


def _pieces(
    before: str, after: str, old: list[_Word], new: list[_Word], matcher: SequenceMatcher[str]
) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for op, i1, i2, j1, j2 in matcher.get_opcodes():
        if op == "equal":
            pieces += _runs("keep", after, new[j1:j2])
        else:
            pieces += _runs("delete", before, old[i1:i2])
            pieces += _runs("insert", after, new[j1:j2])
    return tuple(pieces)


def _runs(op: str, prompt: str, words: list[_Word]) -> list[Piece]:
    """Neighbouring words of one field as one piece, with the spaces between them as they were."""
    runs: list[list[_Word]] = []
    for word in words:
        if runs and runs[-1][-1].field == word.field:
            runs[-1].append(word)
        else:
            runs.append([word])
    return [Piece(op, prompt[run[0].start : run[-1].end], run[0].field) for run in runs]


def _kinds(before: str, after: str, earlier: Sequence[str]) -> tuple[str, ...]:
    old, new = fields(before), fields(after)
    changed = {field for field in FIELDS if _bag(old.get(field, "")) != _bag(new.get(field, ""))}
    kinds = changed - {"subject"}
    if "subject" in changed:
        kinds.add(_subject_kind(old.get("subject", ""), new.get("subject", ""), earlier))
    return tuple(kind for kind in EDIT_KINDS if kind in kinds)


def _subject_kind(old: str, new: str, earlier: Sequence[str]) -> str:
    """combine: subjects of two earlier pictures in one; add / remove: only came / only went; else entity."""
    was, now = _bag(old), _bag(new)
    others = [_bag(fields(prompt[:MAX_CHARS]).get("subject", "")) for prompt in earlier]
    if _JOINS.search(new) and _within(was, now) and any(_within(o, now) and not _within(o, was) for o in others):
        return "combine"
    if was and was < now:
        return "add"
    return "remove" if now and now < was else "entity"


def _bag(text: str) -> frozenset[str]:
    small = {"a", "an", "the", "is", "are", "of", "一", "只", "个", "的", "是"}
    return frozenset(m.group().casefold() for m in _TOKEN.finditer(text) if m.group()[0].isalnum()) - small


def _within(part: frozenset[str], whole: frozenset[str]) -> bool:
    """Whether a subject is named in another: most of its words are there."""
    return bool(part) and len(part & whole) >= max(1, round(0.6 * len(part)))


# ---------------------------------------------------------------- the choice
@dataclass(frozen=True)
class Situation:
    """What a method is chosen from."""

    edit: PromptEdit | None
    """None when no picture came before."""
    same_seed: bool


@dataclass(frozen=True)
class Choice:
    """The method for GenerationSpec.consistency, and the reason the inspector shows."""

    method: str
    why: str


def _seed(situation: Situation) -> str | None:
    if situation.edit is None or not situation.same_seed or situation.edit.kind == "new":
        return None
    return f"same seed and a small change of the prompt ({situation.edit.kind})"


METHODS: tuple[tuple[str, Callable[[Situation], str | None]], ...] = (("seed", _seed),)
"""Tried in order; the first that gives a reason is taken."""


def choose(situation: Situation) -> Choice:
    """The first method that fits, else "none"."""
    for method, fits in METHODS:
        if why := fits(situation):
            return Choice(method, why)
    if situation.edit is None:
        return Choice("none", "no picture came before")
    return Choice("none", "a new picture, not a change of the one before" if situation.same_seed else "another seed")
