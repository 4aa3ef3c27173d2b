"""Words or a picture: P(draw) from the logits, and the bans that hold an answer to words.

Works on bytes of token pieces, so a tag is recognised however the vocabulary cuts it up. Knows neither the protocols
nor the KV cache (it is given a function that looks ahead).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Peek = Callable[[Sequence[int]], NDArray[np.float32]]
"""Logits [n_vocab] after some tokens, were they written next."""

_WORTH_FOLLOWING = 1e-3
_MOST_LOOKS = 12


class PieceIndex:
    """Finds tokens by what they render as."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._order = sorted(range(len(pieces)), key=pieces.__getitem__)
        self._sorted = [pieces[i] for i in self._order]
        self._containing: dict[bytes, tuple[int, ...]] = {}

    def piece(self, token: int) -> bytes:
        """What a token renders as."""
        return self._pieces[token]

    def beginning_with(self, text: bytes) -> list[int]:
        """Tokens that begin with `text`: writing one completes it."""
        at = bisect_left(self._sorted, text)
        found = []
        while at < len(self._sorted) and self._sorted[at].startswith(text):
            found.append(self._order[at])
            at += 1
        return found

    def beginnings_of(self, text: bytes) -> list[int]:
        """Tokens that are a part of the beginning of `text`, shorter than it."""
        found = []
        for length in range(1, len(text)):
            at = bisect_left(self._sorted, text[:length])
            while at < len(self._sorted) and self._sorted[at] == text[:length]:
                found.append(self._order[at])
                at += 1
        return found

    def containing(self, text: bytes) -> tuple[int, ...]:
        """Tokens that have `text` in them."""
        if text not in self._containing:
            self._containing[text] = tuple(i for i, piece in enumerate(self._pieces) if text in piece)
        return self._containing[text]


def draw_probability(logits: NDArray[np.float32], openers: Iterable[str], index: PieceIndex, peek: Peek) -> float:
    """Probability, 0..1, that the answer begins with one of the openers, whichever tokens spell it.

    `logits` are the raw ones at the decision position (DialogGen §5.2: the model's own choice of modality). A
    single-token opener is one softmax entry; a spelled one is a product along each way of
    spelling it, and the ways are summed. Ways less likely than 0.001 are left out.
    """
    goals = tuple(sorted({opener.encode() for opener in openers if opener}))
    total, looks = 0.0, 0
    open_ways: list[tuple[float, tuple[int, ...], tuple[bytes, ...]]] = [(1.0, (), goals)]
    while open_ways and looks <= _MOST_LOOKS:
        mass, path, rest = open_ways.pop(0)
        chances = softmax(peek(path) if path else logits) * mass
        looks += 1
        done = {i for goal in rest for i in index.beginning_with(goal)}
        total += float(chances[list(done)].sum()) if done else 0.0
        for token in {i for goal in rest for i in index.beginnings_of(goal)} - done:
            if chances[token] > _WORTH_FOLLOWING:
                piece = index.piece(token)
                left = tuple(goal[len(piece) :] for goal in rest if goal.startswith(piece))
                open_ways.append((float(chances[token]), (*path, token), left))
        open_ways.sort(key=lambda way: -way[0])
    return min(1.0, total)


class Ban:
    """Keeps strings out of the output, however they are spelled, by banning the tokens that would complete one."""

    def __init__(self, forbidden: Iterable[str], always: Iterable[int], index: PieceIndex) -> None:
        """`always`: tokens that are never written."""
        self._forbidden = [text.encode() for text in forbidden if text]
        self._always = sorted(always)
        self._index = index
        self._longest = max((len(text) for text in self._forbidden), default=0)

    def tokens(self, written: bytes) -> NDArray[np.int64]:
        """Ids that must not follow what was `written` so far."""
        banned = set(self._always)
        for text in self._forbidden:
            banned.update(self._completing(text, written[-self._longest :]))
            if not written:
                banned.update(self._index.beginnings_of(text))  # an answer in words does not begin like a tag
        return np.fromiter(banned, dtype=np.int64, count=len(banned))

    def _completing(self, text: bytes, tail: bytes) -> Iterable[int]:
        yield from self._index.containing(text)
        for length in range(1, len(text)):
            if tail.endswith(text[:length]):
                yield from self._index.beginning_with(text[length:])


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities from raw logits, in double precision. Shape [n_vocab]."""
    exponents = np.exp(logits.astype(np.float64) - float(logits.max()))
    return np.asarray(exponents / exponents.sum())
