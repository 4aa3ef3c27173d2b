"""Chooses the next token from logits: penalties, top-k, top-p, min-p, temperature, seed, grammar.

llama.cpp's own samplers do the work. Knows neither the conversation nor the KV cache.
Deterministic: same logits, same seed, same tokens.
"""

import ctypes
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.contracts import BadInputError, Sampling
from models.mllm.native import lib

_TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
_PENALTY_WINDOW = 64
_GRAMMAR_BYTES, _GRAMMAR_DEPTH = 65_536, 64
_LITERAL = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#[^\n]*')
_BACKWARDS = re.compile(r"\{\s*(\d{1,9})\s*,\s*(\d{1,9})\s*\}")


class Sampler:
    """One generation's sampler. Call `close` when the generation is over."""

    def __init__(self, sampling: Sampling, n_vocab: int, vocabulary: Any, grammar: str | None = None) -> None:
        """`vocabulary` is the llama_vocab pointer. Raises BadInputError for a grammar that cannot be used."""
        self._data = np.zeros(n_vocab, dtype=_TOKEN_DATA)
        self._ids = np.arange(n_vocab, dtype=np.int32)
        self._grammar = open_grammar(vocabulary, grammar) if grammar is not None else None
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for link in _links(sampling, n_vocab):
            lib.llama_sampler_chain_add(self._chain, link)

    def close(self) -> None:
        """Free the samplers. May be called twice."""
        if self._chain is not None:
            lib.llama_sampler_free(self._chain)
            self._chain = None
        if self._grammar is not None:
            lib.llama_sampler_free(self._grammar)
            self._grammar = None

    def pick(self, logits: NDArray[np.float32], banned: Sequence[int] | NDArray[np.int64] = ()) -> int | None:
        """The next token, or None if nothing is allowed. Logits [n_vocab] are not changed."""
        array = self._candidates(logits, banned)
        if not np.isfinite(self._data["logit"]).any():
            return None
        lib.llama_sampler_apply(self._chain, ctypes.byref(array))
        return int(array.data[array.selected].id)

    def allows(self, token: int) -> bool:
        """Whether the grammar lets this token come next."""
        if self._grammar is None:
            return True
        self._candidates(np.zeros(len(self._data), np.float32), ())
        return bool(np.isfinite(self._data["logit"][token]))

    def accept(self, token: int) -> None:
        """Tell penalties and grammar that this token was written. It must be one the grammar allows."""
        lib.llama_sampler_accept(self._chain, token)
        if self._grammar is not None:
            lib.llama_sampler_accept(self._grammar, token)

    def _candidates(self, logits: NDArray[np.float32], banned: Sequence[int] | NDArray[np.int64]) -> Any:
        data = self._data
        data["id"], data["logit"], data["p"] = self._ids, logits, 0.0
        if len(banned):
            data["logit"][banned] = -np.inf
        array = lib.llama_token_data_array(data.ctypes.data_as(lib.llama_token_data_p), len(data), -1, False)
        if self._grammar is not None:
            lib.llama_sampler_apply(self._grammar, ctypes.byref(array))
        return array


def open_grammar(vocabulary: Any, grammar: str) -> Any:
    """A grammar sampler for GBNF text with a rule named root. Raises BadInputError instead of crashing later."""
    sampler = None
    if _is_bounded(grammar):
        # None for a grammar that does not parse; used all the same, it would end the process.
        sampler = lib.llama_sampler_init_grammar(vocabulary, grammar.encode("utf-8", "replace"), b"root")
    if not sampler:
        raise BadInputError("The grammar is not valid GBNF with a rule named root; correct it or leave it out.")
    return sampler


def _is_bounded(grammar: str) -> bool:
    """Whether llama.cpp's parser can be trusted with it: deep nesting ends the process, {5,2} eats all memory."""
    if not grammar.strip() or len(grammar) > _GRAMMAR_BYTES or "\0" in grammar:
        return False
    bare = _LITERAL.sub("", grammar)
    if any(int(least) > int(most) for least, most in _BACKWARDS.findall(bare)):
        return False
    depth = deepest = 0
    for character in bare:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    return deepest <= _GRAMMAR_DEPTH


def _links(sampling: Sampling, n_vocab: int) -> list[Any]:
    """In llama.cpp's order; what is off is left out."""
    links = []
    if sampling.repeat_penalty != 1.0:
        penalty = max(sampling.repeat_penalty, 1e-3)
        links.append(lib.llama_sampler_init_penalties(n_vocab, _PENALTY_WINDOW, penalty, 0.0, 0.0))
    if sampling.temperature <= 0:
        return [*links, lib.llama_sampler_init_greedy()]
    if sampling.top_k > 0:
        links.append(lib.llama_sampler_init_top_k(sampling.top_k))
    if sampling.top_p < 1.0:
        links.append(lib.llama_sampler_init_top_p(sampling.top_p, 1))
    if sampling.min_p > 0.0:
        links.append(lib.llama_sampler_init_min_p(sampling.min_p, 1))
    links.append(lib.llama_sampler_init_temp(sampling.temperature))
    # 2**32-1 means "choose a seed yourself" to llama.cpp.
    return [*links, lib.llama_sampler_init_dist(sampling.seed % (2**32 - 1))]
