"""Measures a prompt in the text encoder's own tokens: what it will read and what falls off the end.

Knows tokenizers of transformers; nothing of pipelines.
"""

from typing import Any

from models.contracts import PromptTokens

READ_CHARACTERS = 2000
"""A prompt is looked at this far (white space collapsed): far beyond any encoder's limit, short enough that the
byte-pair merges of one endless word stay fast."""


def bounded(prompt: str) -> tuple[str, int]:
    """(the prompt with white space collapsed and cut at READ_CHARACTERS, how many characters were cut)."""
    text = " ".join(prompt.split())
    return text[:READ_CHARACTERS], max(0, len(text) - READ_CHARACTERS)


def measure(prompt: str, tokenizers: list[tuple[Any, int]]) -> PromptTokens:
    """Kept and dropped pieces under the tightest of the encoders. `tokenizers` are (tokenizer, limit with special
    tokens).

    The pieces are slices of the prompt itself, a token each (a character that needs several tokens stays whole), and
    rebuild it up to white space. Characters beyond READ_CHARACTERS are never read; the last dropped piece counts them.
    """
    text, unread = bounded(prompt)
    results = [_measure_one(text, tokenizer, limit) for tokenizer, limit in tokenizers]
    tightest = min(results, key=lambda r: len("".join(r.kept)))
    if not unread:
        return tightest
    note = f" … and {unread:,} more characters, not read"
    return PromptTokens(tightest.kept, (*tightest.dropped, note), tightest.limit)


def _measure_one(text: str, tokenizer: Any, limit: int) -> PromptTokens:
    tokens = tokenizer.tokenize(text)
    room = limit - tokenizer.num_special_tokens_to_add()
    kept: list[str] = []
    dropped: list[str] = []
    at, used = 0, 0
    for piece, count in _pieces(tokens, tokenizer):
        begin = at
        at = _after(text, at, piece)
        used += count
        if shown := text[begin:at] or piece:
            (kept if used <= room and not dropped else dropped).append(shown)
    if at < len(text):
        (dropped or kept).append(text[at:])
    return PromptTokens(tuple(kept), tuple(dropped), limit)


def _pieces(tokens: list[str], tokenizer: Any) -> list[tuple[str, int]]:
    """Readable text of each token and how many tokens it took: bytes of one character are joined."""
    pieces: list[tuple[str, int]] = []
    group: list[str] = []
    for token in tokens:
        group.append(token)
        text = tokenizer.convert_tokens_to_string(group).strip().removeprefix("##")
        if "\ufffd" not in text or len(group) == 8:
            pieces.append((text, len(group)))
            group = []
    if group:
        pieces.append((tokenizer.convert_tokens_to_string(group).strip(), len(group)))
    return pieces


def _after(text: str, at: int, piece: str) -> int:
    """Where in the prompt the piece ends; tokenizers lower-case, so the comparison does too."""
    if not piece:
        return at
    while at < len(text) and text[at].isspace():
        at += 1
    if text[at : at + len(piece)].lower() == piece.lower():
        return at + len(piece)
    found = text.lower().find(piece.lower(), at, at + len(piece) + 32)
    return found + len(piece) if found >= 0 else at
