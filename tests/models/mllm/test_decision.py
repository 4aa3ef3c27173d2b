"""P(draw) is what the logits say, and a modality is kept by decoding, not by editing."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.contracts import Decision, Modality, Sampling
from models.mllm.decision import Ban, PieceIndex, draw_probability, softmax
from models.mllm.llama import LlamaMllm
from tests.models.mllm.conftest import DRAW, SYSTEM, Answer, ask, user

TAGS = Decision(("<image>", "<edit>"), ("<image>", "</image>", "<edit>", "</edit>"))
"""Mini-DALLE3's tags: several tokens each in the starter's vocabulary."""
PIECES = [b"<", b"draw", b">", b"<draw", b"<draw>", b"a", b"b", b"> A", b"\xe7\x94", b"\xbb", b"raw>", b"<d"]


def index() -> PieceIndex:
    return PieceIndex(PIECES)


def certain(**chances: float) -> NDArray[np.float32]:
    """Logits of a distribution, by piece name ("lt" "draw" "gt" "lt_draw" "tag" "a")."""
    names = {"lt": 0, "draw": 1, "gt": 2, "lt_draw": 3, "tag": 4, "a": 5, "b": 6, "gt_a": 7, "raw_gt": 10, "lt_d": 11}
    row = np.full(len(PIECES), 1e-30)
    for name, chance in chances.items():
        row[names[name]] = chance
    return np.log(row).astype(np.float32)


def test_a_single_token_is_its_softmax() -> None:
    def no_peek(tokens: Sequence[int]) -> NDArray[np.float32]:
        raise AssertionError("nothing to look ahead for")

    assert draw_probability(certain(tag=0.3, a=0.7), ["<draw>"], index(), no_peek) == pytest.approx(0.3)


def test_a_spelled_tag_is_a_product_and_its_spellings_are_summed() -> None:
    after = {
        (0,): certain(draw=0.5, a=0.5),
        (0, 1): certain(gt=0.4, gt_a=0.4, b=0.2),
        (3,): certain(gt=1.0),
        (11,): certain(raw_gt=0.25, b=0.75),
    }
    chance = draw_probability(
        certain(tag=0.1, lt=0.2, lt_draw=0.3, lt_d=0.2, a=0.2), ["<draw>"], index(), lambda path: after[tuple(path)]
    )
    assert chance == pytest.approx(0.1 + 0.2 * 0.5 * (0.4 + 0.4) + 0.3 * 1.0 + 0.2 * 0.25)


def test_openers_are_summed_once() -> None:
    logits = certain(tag=0.3, a=0.2, b=0.5)
    assert draw_probability(logits, ["<draw>", "<draw>", "a"], index(), lambda path: logits) == pytest.approx(0.5)
    assert draw_probability(logits, [], index(), lambda path: logits) == 0.0


@given(st.lists(st.sampled_from(range(len(PIECES))), max_size=12), st.sampled_from(["<draw>", "aba", "b", "画"]))
def test_what_is_forbidden_cannot_be_written(wishes: list[int], forbidden: str) -> None:
    ban, written = Ban([forbidden], [], index()), b""
    for token in wishes:
        if token not in ban.tokens(written):
            written += PIECES[token]
    assert forbidden.encode() not in written


def test_bans_are_no_wider_than_they_must_be() -> None:
    ban = Ban(["<draw>"], [6], index())
    assert set(ban.tokens(b"a")) == {4, 6}
    assert set(ban.tokens(b"a<draw")) == {2, 4, 6, 7}
    assert set(ban.tokens(b"")) == {0, 3, 4, 6, 11}  # an answer in words does not begin like a tag


def test_p_draw_is_the_raw_softmax_at_the_decision_position(starter: LlamaMllm) -> None:
    chances = {}
    for modality in Modality:
        answer = ask(starter, SYSTEM, user("Draw a red fox"), decision=DRAW, modality=modality, max_tokens=4)
        assert answer.decided is not None
        chances[modality] = answer.decided.p_draw
    starter.cache.reuse(prompt := starter.prompts.build([SYSTEM, user("Draw a red fox")], 4).cells)
    starter.cache.advance(prompt, {}, lambda: False)
    expected = softmax(starter._native.logits())[starter._vocabulary.specials["<draw>"]]
    assert list(chances.values()) == pytest.approx([expected] * 3, rel=1e-3, abs=2e-3)
    assert 0.0 <= expected <= 1.0


def test_p_draw_of_a_spelled_opener_is_the_product_of_its_tokens(starter: LlamaMllm) -> None:
    messages = [SYSTEM, user("Draw a red fox")]
    # The likeliest answer's first three tokens, spelled out, are an opener whose probability is known.
    text = ask(starter, *messages, max_tokens=3).done.raw
    prompt = starter.prompts.build(messages, 4).cells
    starter.cache.reuse(prompt)
    starter.cache.advance(prompt, {}, lambda: False)
    logits, product, path = starter._native.logits(), 1.0, []
    for _ in range(3):
        token = int(logits.argmax())
        product *= float(softmax(logits)[token])
        path.append(token)
        logits = starter.cache.peek(path)
    answer = ask(starter, *messages, decision=Decision((text,)), max_tokens=1)
    assert answer.decided is not None
    # Other ways of spelling the same text only add to it.
    assert product * 0.99 - 2e-3 <= answer.decided.p_draw <= 1.0


@pytest.mark.parametrize("decision", [DRAW, TAGS], ids=["one token", "several tokens"])
def test_image_begins_with_the_opener(starter: LlamaMllm, decision: Decision) -> None:
    answer = ask(starter, SYSTEM, user("What does a fox eat?"), decision=decision, modality=Modality.IMAGE)
    assert answer.done.raw.startswith(decision.openers[0])
    assert answer.streamed == answer.done.raw


@pytest.mark.parametrize("decision", [DRAW, TAGS], ids=["one token", "several tokens"])
def test_text_never_holds_a_tag(starter: LlamaMllm, decision: Decision) -> None:
    for seed in range(4):
        sampling = Sampling(temperature=2.0, seed=seed, max_tokens=16)
        answer = ask(
            starter, SYSTEM, user("Draw a red fox"), decision=decision, modality=Modality.TEXT, sampling=sampling
        )
        assert not any(tag in answer.done.raw for tag in decision.forbidden)


def test_text_holds_even_where_the_model_insists(starter: LlamaMllm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits that want nothing but the tag, token by token."""
    wanted = starter._vocabulary.tokenize("a <image> b <image>")

    def insist() -> NDArray[np.float32]:
        row = np.zeros(starter._native.n_vocab, np.float32)
        written = sum(1 for cell in starter.cache.cells[start:] if isinstance(cell, int))
        row[wanted[written % len(wanted)]] = 50.0
        return row

    start = len(starter.prompts.build([SYSTEM, user("x")], 4).cells)
    monkeypatch.setattr(starter._native, "logits", insist)
    free = ask(starter, SYSTEM, user("x"), max_tokens=len(wanted))
    held = ask(starter, SYSTEM, user("x"), decision=TAGS, modality=Modality.TEXT, max_tokens=len(wanted))
    assert free.done.raw == "a <image> b <image>"
    assert "<image>" not in held.done.raw


def test_an_answer_never_builds_the_chat(starter: LlamaMllm, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = starter._vocabulary.specials
    row = np.zeros(starter._native.n_vocab, np.float32)
    row[[ids["<|im_start|>"], ids["<|image_pad|>"], ids["<draw>"]]] = 50, 49, 40
    monkeypatch.setattr(starter._native, "logits", lambda: row)
    assert ask(starter, SYSTEM, user("x"), max_tokens=2).done.raw == "<draw><draw>"


def test_a_grammar_that_contradicts_the_modality(starter: LlamaMllm) -> None:
    from models.contracts import BadInputError

    with pytest.raises(BadInputError, match="does not let an answer begin with <draw>"):
        ask(starter, SYSTEM, user("x"), decision=DRAW, modality=Modality.IMAGE, grammar='root ::= "no"')


def test_events_come_in_order(starter: LlamaMllm) -> None:
    answer: Answer = ask(starter, SYSTEM, user("Hello"), decision=DRAW)
    names = [event.event for event in answer.events]
    assert names[:2] == ["prefilled", "decided"]
    assert names[-1] == "generated"
    assert set(names[2:-1]) <= {"token"}
