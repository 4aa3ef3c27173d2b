"""Choosing tokens: deterministic for a seed, within what is allowed; grammars are refused, never fatal."""

from collections.abc import Iterator

import numpy as np
import pytest

from models.contracts import BadInputError, Sampling
from models.mllm.llama import LlamaMllm
from models.mllm.sampling import Sampler
from tests.models.mllm.conftest import SYSTEM, ask, user

BAD_GRAMMARS = {
    "empty": "",
    "words": "answer with yes or no",
    "no root": 'answer ::= "yes"',
    "undefined rule": "root ::= answer",
    "left recursion": 'root ::= root "a" | "b"',
    "open string": 'root ::= "yes',
    "open group": 'root ::= ("yes"',
    "open class": "root ::= [a-",
    "backwards repetition": 'root ::= "a"{5,2}',
    "endless repetition": 'root ::= "a"{99999999}',
    "a star alone": "root ::= *",
    "zero byte": 'root ::= "a\0b"',
    "nested too deeply": "root ::= " + "(" * 3000 + '"a"' + ")" * 3000,
    "too long": "root ::= " + " | ".join(f'"{i}"' for i in range(9000)),
}


@pytest.mark.parametrize("grammar", BAD_GRAMMARS.values(), ids=BAD_GRAMMARS)
def test_an_invalid_grammar_is_refused(starter: LlamaMllm, grammar: str) -> None:
    with pytest.raises(BadInputError, match="grammar is not valid"):
        ask(starter, SYSTEM, user("hi"), grammar=grammar)


def test_a_grammar_holds_the_answer(starter: LlamaMllm) -> None:
    for seed in range(3):
        sampling = Sampling(temperature=1.5, seed=seed, max_tokens=12)
        answer = ask(starter, SYSTEM, user("hi"), grammar='root ::= "yes" | "no" "," " " "never"', sampling=sampling)
        assert answer.done.raw in ("yes", "no, never")
        assert answer.done.finish == "stop"


def test_the_model_works_on_after_a_bad_grammar(starter: LlamaMllm) -> None:
    before = ask(starter, SYSTEM, user("hi")).done.raw
    with pytest.raises(BadInputError):
        ask(starter, SYSTEM, user("hi"), grammar="nonsense")
    assert ask(starter, SYSTEM, user("hi")).done.raw == before


def test_a_seed_decides(starter: LlamaMllm) -> None:
    def write(seed: int) -> str:
        sampling = Sampling(
            temperature=1.2, top_p=0.95, top_k=50, min_p=0.01, repeat_penalty=1.1, seed=seed, max_tokens=8
        )
        return ask(starter, SYSTEM, user("Tell me about boats"), sampling=sampling).done.raw

    texts = [write(seed) for seed in (1, 2, 3, 2**32 - 1)]
    assert texts == [write(seed) for seed in (1, 2, 3, 2**32 - 1)]
    assert len(set(texts)) > 1


class Chooser:
    """A sampler over hand-made logits."""

    def __init__(self, model: LlamaMllm) -> None:
        self._native = model._native
        self.logits = np.zeros(self._native.n_vocab, np.float32)

    def pick(self, sampling: Sampling, banned: list[int] | None = None, written: tuple[int, ...] = ()) -> int | None:
        sampler = Sampler(sampling, self._native.n_vocab, self._native.vocabulary)
        try:
            for token in written:
                sampler.accept(token)
            return sampler.pick(self.logits, banned or [])
        finally:
            sampler.close()
            sampler.close()


@pytest.fixture
def chooser(starter: LlamaMllm) -> Iterator[Chooser]:
    yield Chooser(starter)


def test_temperature_zero_takes_the_likeliest_that_is_allowed(chooser: Chooser) -> None:
    chooser.logits[[700, 800, 900]] = 9, 8, 7
    assert chooser.pick(Sampling()) == 700
    assert chooser.pick(Sampling(), banned=[700]) == 800
    assert chooser.pick(Sampling(repeat_penalty=3.0), written=(700,)) == 800
    assert chooser.logits[700] == 9  # what is banned is banned in a copy


def test_nothing_is_left_to_choose(chooser: Chooser) -> None:
    assert chooser.pick(Sampling(), banned=list(range(len(chooser.logits)))) is None


@pytest.mark.parametrize("cut", [{"top_k": 3}, {"min_p": 0.2}, {"top_p": 0.9}])
def test_the_tail_is_cut_off(chooser: Chooser, cut: dict[str, float]) -> None:
    chooser.logits[[700, 800, 900]] = 20, 19.5, 19
    picked = {chooser.pick(Sampling(temperature=1.0, seed=seed, **cut)) for seed in range(30)}  # type: ignore[arg-type]
    assert picked <= {700, 800, 900}
    assert len(picked) > 1
