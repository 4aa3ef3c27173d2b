"""A model's vocabulary: text to token ids and back, and which tokens are special.

Knows nothing of chats. Text is never searched for special tokens here unless a caller splits it with `split_specials`:
that is what keeps a tag typed by a user from becoming a control token.
"""

import ctypes
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any

from models.mllm.native import lib

_SPECIAL = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_USER_DEFINED | lib.LLAMA_TOKEN_ATTR_UNKNOWN
_BLOCK = 16_384
"""Longest piece of text given to llama.cpp at once, in characters. Its pre-tokenizer recurses over long runs."""
_TAG = re.compile(r"<[^\s<>]+>|\[[^\s\[\]]+\]")
_CUT = re.compile(r"(?<=\S)(?=\s)")


class Vocabulary:
    """Wraps a llama_vocab pointer; valid as long as its model is loaded."""

    def __init__(self, pointer: Any) -> None:
        self._pointer = pointer
        self.size = int(lib.llama_vocab_n_tokens(pointer))
        self._buffer = ctypes.create_string_buffer(1024)
        attributes = [lib.llama_vocab_get_attr(pointer, i) for i in range(self.size)]
        special = [i for i, attribute in enumerate(attributes) if attribute & _SPECIAL]
        self.specials: dict[str, int] = {
            text: i for i in special if (text := self._render(i).decode("utf-8", "replace"))
        }
        """Text → id of every special token (control, user-defined, unknown)."""
        self.eog = frozenset(i for i in special if lib.llama_vocab_is_eog(pointer, i))
        """Tokens that end a message (EOS, end of turn…)."""
        self.bos = int(lib.llama_vocab_bos(pointer))
        self.adds_bos = bool(lib.llama_vocab_get_add_bos(pointer))
        self.control = frozenset(i for i in special if attributes[i] & lib.LLAMA_TOKEN_ATTR_CONTROL)
        self._strips = {
            i: (bool(attributes[i] & lib.LLAMA_TOKEN_ATTR_LSTRIP), bool(attributes[i] & lib.LLAMA_TOKEN_ATTR_RSTRIP))
            for i in special
            if attributes[i] & (lib.LLAMA_TOKEN_ATTR_LSTRIP | lib.LLAMA_TOKEN_ATTR_RSTRIP)
        }
        # llama.cpp finds user-defined tokens even where it is told not to look for special ones.
        loose = [t for t, i in self.specials.items() if i not in self.control and _TAG.fullmatch(t)]
        self._loose_tags = _any_of(loose)

    def split_specials(self, text: str, allowed: Iterable[str]) -> Iterator[str | int]:
        """Cut text at the special tokens named in `allowed` (longest first): plain pieces as str, tokens as ids."""
        pattern = _any_of(sorted(allowed, key=len, reverse=True))
        at, strip_left = 0, False
        for match in pattern.finditer(text) if pattern else ():
            token = self.specials[match[0]]
            left, right = self._strips.get(token, (False, False))
            plain = _stripped(text[at : match.start()], strip_left, left)
            if plain:
                yield plain
            yield token
            at, strip_left = match.end(), right
        if rest := _stripped(text[at:], strip_left, False):
            yield rest

    def tokenize(self, text: str, typed: Iterable[tuple[int, int]] = ()) -> list[int]:
        """Ids of plain text, special tokens not parsed.

        `typed` are (start, end) spans of the text that a user wrote: user-defined tag tokens are broken up there too.
        """
        cuts = self._guard_cuts(text, typed)
        bounds = [0, *cuts, len(text)]
        return [i for a, b in pairwise(bounds) for block in _blocks(text[a:b]) for i in self._ids(block)]

    def tag(self, text: str) -> list[int]:
        """Ids of a protocol tag: one control token if the vocabulary has it, else the tokens that spell it."""
        return [i for part in self.split_specials(text, self.specials) for i in self._part_ids(part)]

    def count(self, text: str, limit: int | None = None) -> int:
        """Tokens of plain text. Stops counting soon after `limit`, so that a huge text is refused quickly."""
        total = 0
        for block in _blocks(text):
            total += len(self._ids(block))
            if limit is not None and total > limit:
                break
        return total

    def piece(self, token: int) -> bytes:
        """What a token renders as, control tokens included. May be part of a UTF-8 character."""
        return self.pieces[token] if "pieces" in self.__dict__ else self._render(token)

    @cached_property
    def pieces(self) -> list[bytes]:
        """`piece` of every token."""
        return [self._render(i) for i in range(self.size)]

    def _part_ids(self, part: str | int) -> list[int]:
        return [part] if isinstance(part, int) else self.tokenize(part)

    def _guard_cuts(self, text: str, typed: Iterable[tuple[int, int]]) -> list[int]:
        spans = list(typed)
        if not self._loose_tags or not spans:
            return []
        found = self._loose_tags.finditer(text)
        return [m.start() + 1 for m in found if any(a < m.end() and m.start() < b for a, b in spans)]

    def _ids(self, text: str) -> list[int]:
        raw = text.encode("utf-8", "replace")  # lone surrogates become "?"
        room = len(raw) + 2
        ids = (lib.llama_token * room)()
        count = lib.llama_tokenize(self._pointer, raw, len(raw), ids, room, False, False)
        if count < 0:
            raise RuntimeError(f"llama_tokenize: {count}")
        return list(ids[:count])

    def _render(self, token: int) -> bytes:
        length = lib.llama_token_to_piece(self._pointer, token, self._buffer, len(self._buffer), 0, True)
        if length < 0:
            self._buffer = ctypes.create_string_buffer(-length)
            return self._render(token)
        return self._buffer.raw[:length]


def _any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    escaped = [re.escape(t) for t in texts]
    return re.compile("|".join(escaped)) if escaped else None


def _stripped(text: str, left: bool, right: bool) -> str:
    text = text.lstrip() if left else text
    return text.rstrip() if right else text


def _blocks(text: str) -> Iterator[str]:
    """Pieces of at most _BLOCK characters, cut before a space where there is one, where tokens never join."""
    at = 0
    while len(text) - at > _BLOCK:
        cut = at + _BLOCK
        for match in _CUT.finditer(text, cut - 256, cut):
            cut = match.start()
        yield text[at:cut]
        at = cut
    if at < len(text):
        yield text[at:]
