"""The stream of an answer: whole characters, stop strings, cancel at any moment, and a model that works on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contracts import Generated, MllmRequest, Sampling, Token
from models.mllm.llama import LlamaMllm
from models.mllm.output import OutputText
from tests.models.mllm.conftest import DRAW, SYSTEM, ask, describe, user


@given(st.text(max_size=40), st.lists(st.text(min_size=1, max_size=4), max_size=3), st.data())
def test_any_split_of_the_bytes_gives_the_same_text(text: str, stop: list[str], data: st.DataObject) -> None:
    raw = text.encode("utf-8", "replace")
    output, seen = OutputText(stop), ""
    while raw:
        size = data.draw(st.integers(1, 4))
        seen += output.feed(raw[:size])
        raw = raw[size:]
    seen += output.finish()
    text = text.encode("utf-8", "replace").decode()
    ends = [at for s in stop if (at := text.find(s)) >= 0]
    # Of two stop strings the one that is complete first ends the output.
    assert seen == output.raw
    assert text.startswith(seen)
    assert not any(s in seen for s in stop)
    if not ends:
        assert seen == text
    if len(stop) == 1 and ends:
        assert seen == text[: ends[0]]


def test_half_a_character_is_held_back() -> None:
    output = OutputText(())
    assert [output.feed(byte.to_bytes()) for byte in "画a".encode()] == ["", "", "画", "a"]
    output.feed("🦊".encode()[:2])
    assert output.finish() == "\ufffd"


def test_tokens_add_up_to_the_raw_output(starter: LlamaMllm) -> None:
    sampling = Sampling(temperature=2.5, seed=7, max_tokens=40)  # hot enough for broken characters
    answer = ask(starter, SYSTEM, user("画一只狐狸 🦊"), sampling=sampling)
    assert answer.streamed == answer.done.raw
    assert answer.done.tokens <= 40
    assert 0 < answer.done.first_token_s <= answer.done.seconds


def test_a_stop_string_ends_the_answer(starter: LlamaMllm) -> None:
    whole = ask(starter, SYSTEM, user("Tell me about boats")).done.raw
    stop = whole[4:7]
    answer = ask(starter, SYSTEM, user("Tell me about boats"), stop=(stop, "never comes"))
    assert answer.done.raw == whole[: whole.find(stop)] == answer.streamed
    assert answer.done.finish == "stop"


def test_max_tokens(starter: LlamaMllm) -> None:
    answer = ask(starter, SYSTEM, user("Tell me about boats"), sampling=Sampling(temperature=1.0, seed=3, max_tokens=3))
    assert answer.done.tokens <= 3
    assert answer.done.finish in ("length", "stop")


def test_the_end_of_turn_is_never_rendered(starter: LlamaMllm, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    row = np.zeros(starter._native.n_vocab, np.float32)
    row[starter._vocabulary.specials["<|im_end|>"]] = 50
    monkeypatch.setattr(starter._native, "logits", lambda: row)
    answer = ask(starter, SYSTEM, user("hi"))
    assert (answer.done.raw, answer.done.finish, answer.done.tokens) == ("", "stop", 0)


@pytest.mark.parametrize("looks", [0, 1, 2, 5, 9])
def test_stop_at_any_moment(starter: LlamaMllm, looks: int) -> None:
    expected = ask(starter, SYSTEM, user("Tell me of a fox " * 12)).done.raw
    ask(starter, SYSTEM, user("Something else"))
    left = iter(range(looks))
    stopped = ask(starter, SYSTEM, user("Tell me of a fox " * 12), cancelled=lambda: next(left, None) is None)
    assert stopped.done.finish == "cancelled"
    assert expected.startswith(stopped.done.raw) and stopped.done.raw == stopped.streamed
    assert ask(starter, SYSTEM, user("Tell me of a fox " * 12)).done.raw == expected


def test_a_stream_that_is_left_alone_does_no_harm(starter: LlamaMllm) -> None:
    request = MllmRequest((SYSTEM, user("Tell me about owls")), Sampling(max_tokens=12), DRAW)
    expected = next(e for e in starter.generate(request) if isinstance(e, Generated)).raw
    for event in starter.generate(request):
        if isinstance(event, Token):
            break
    assert ask(starter, SYSTEM, user("Tell me about owls")).done.raw == expected


def test_what_is_loaded(starter: LlamaMllm, blind: LlamaMllm) -> None:
    info, described = starter.info, describe()
    assert (info.vision, blind.info.vision) == (True, False)
    assert (info.n_ctx, blind.info.n_ctx) == (1024, 256)
    assert info.protocol == "dialoggen"
    assert info.architecture == "qwen2vl"
    assert info.model.name == described.name
    assert info.sampling.max_tokens == described.defaults["max_tokens"]
