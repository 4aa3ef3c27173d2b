"""Learns further byte-level BPE merges, so that a Chinese character costs one token or less, and not two or three.

SmolLM2's merges are English; the new ones come after them and concern bytes outside ASCII only, so English text is
tokenized as before. Knows no weights: rows for the new tokens start in `grow_embeddings`.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable

import torch
from tokenizers import Tokenizer

from models.training.director.vocabulary import Vocabulary, build_tokenizer

Pair = tuple[str, str]


def _is_foreign(token: str) -> bool:
    """True for pieces made of bytes outside ASCII (byte-level BPE spells those with letters from U+00A1 on)."""
    return all(ord(character) > 0xA0 and character != "Ġ" and character != "Ċ" for character in token)


def _words(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[tuple[str, ...]]:
    """Pre-tokenized words as the base vocabulary spells them, with how often each occurs."""
    words: Counter[tuple[str, ...]] = Counter()
    pieces: Counter[str] = Counter()
    for text in texts:
        pieces.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))
    for piece, count in pieces.items():
        if any(_is_foreign(character) for character in piece):
            words[tuple(token.value for token in tokenizer.model.tokenize(piece))] += count
    return words


class _Merger:
    """Counts of adjacent pairs over all words, kept up to date while pairs are merged."""

    def __init__(self, words: Counter[tuple[str, ...]]) -> None:
        self.words = [list(word) for word in words]
        self.counts = list(words.values())
        self.pairs: Counter[Pair] = Counter()
        self.places: defaultdict[Pair, set[int]] = defaultdict(set)
        for index in range(len(self.words)):
            self._count(index, 1)

    def _count(self, index: int, sign: int) -> None:
        word = self.words[index]
        for pair in itertools.pairwise(word):
            if _is_foreign(pair[0]) and _is_foreign(pair[1]):
                self.pairs[pair] += sign * self.counts[index]
                if sign > 0:
                    self.places[pair].add(index)

    def best(self) -> tuple[Pair, int]:
        """The most frequent pair; ties go to the alphabetically first, so that a run can be repeated."""
        return min(self.pairs.items(), key=lambda item: (-item[1], item[0]))

    def merge(self, pair: Pair) -> None:
        """Join `pair` wherever it stands."""
        for index in self.places.pop(pair, set()):
            self._count(index, -1)
            self.words[index] = _joined(self.words[index], pair)
            self._count(index, 1)
        self.pairs.pop(pair, None)


def _joined(word: list[str], pair: Pair) -> list[str]:
    result: list[str] = []
    for token in word:
        if result and (result[-1], token) == pair:
            result[-1] += token
        else:
            result.append(token)
    return result


def learn_merges(base: Vocabulary, texts: Iterable[str], count: int, least: int = 3) -> Vocabulary:
    """`base` with up to `count` merges more, learnt from `texts`; pairs seen fewer than `least` times stay apart."""
    merger = _Merger(_words(build_tokenizer(base), texts))
    tokens, merges = list(base.tokens), list(base.merges)
    known = set(tokens)
    for _ in range(count):
        pair, seen = merger.best()
        if seen < least:
            break
        merger.merge(pair)
        merges.append(" ".join(pair))
        if (joined := "".join(pair)) not in known:
            tokens.append(joined)
            known.add(joined)
    return Vocabulary(tokens, merges)


def grow_embeddings(table: torch.Tensor, base: Vocabulary, grown: Vocabulary) -> torch.Tensor:
    """Rows [len(grown), hidden]: the base's first, then each new token as the mean of the two it is merged from."""
    rows = list(table[: len(base.tokens)].float())
    ids = {token: index for index, token in enumerate(grown.tokens)}
    for merge in grown.merges[len(base.merges) :]:
        left, right = merge.split(" ")
        if ids[left + right] == len(rows):
            rows.append((rows[ids[left]] + rows[ids[right]]) / 2)
    return torch.stack(rows)


def glossary_rows(table: torch.Tensor, tokenizer: Tokenizer, glossary: dict[str, str]) -> dict[int, torch.Tensor]:
    """Rows for tokens that are a Chinese word of `glossary`: the mean of its English words' rows. {token id: row}.

    The English half of the model already knows what to do with such a vector, so Chinese need not start from nothing.
    """
    rows = {}
    for chinese, english in glossary.items():
        ids = tokenizer.encode(chinese, add_special_tokens=False).ids
        if len(ids) == 1:
            words = tokenizer.encode(" " + english, add_special_tokens=False).ids
            rows[ids[0]] = table[words].float().mean(0)
    return rows
