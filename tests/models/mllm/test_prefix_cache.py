"""Nothing in the KV cache is evaluated twice, and nobody can tell from the logits."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from models.contracts import Cancelled, ImageRef, Message
from models.mllm.decision import softmax
from models.mllm.llama import LlamaMllm
from models.mllm.vision import PicturePiece
from tests.models.mllm.conftest import SYSTEM, ask, assistant, user

Pictures = Callable[[str], ImageRef]
LONG = "a fox, an owl, a boat on the sea, an old castle in the snow, two apples and a yellow bird, " * 6


def logits(mllm: LlamaMllm, *messages: Message, fresh: bool) -> NDArray[np.float32]:
    """Logits at the decision position, with what is in the cache or from scratch."""
    prompt = mllm.prompts.build(messages, 16)
    if fresh:
        mllm._native.clear()
        mllm.cache._cells.clear()
        mllm.cache._ends.clear()
    mllm.cache.reuse(prompt.cells)
    mllm.cache.advance(prompt.cells, prompt.pictures, lambda: False)
    return mllm._native.logits()


def turns(picture: Pictures) -> list[Message]:
    return [
        SYSTEM,
        user("Draw a red fox in the snow"),
        assistant("<draw> A red fox, the background is snow"),
        user("What is in this picture?", picture("red"), turn=1),
        assistant("It is red.", turn=1),
        user("And now at night", turn=2),
    ]


@pytest.mark.parametrize("before", [2, 4, 6], ids=["first turn", "with a picture", "the same again"])
def test_a_longer_conversation_gives_the_same_logits(starter: LlamaMllm, picture: Pictures, before: int) -> None:
    chat = turns(picture)
    expected = logits(starter, *chat, fresh=True)
    logits(starter, *chat[:before], fresh=True)
    np.testing.assert_allclose(logits(starter, *chat, fresh=False), expected, atol=1e-3)


def test_a_rewind_and_a_branch_give_the_same_logits(starter: LlamaMllm, picture: Pictures) -> None:
    chat = turns(picture)
    branch = [*chat[:3], user(LONG, picture("blue"), picture("red"), turn=1)]
    expected_chat, expected_branch = logits(starter, *chat, fresh=True), logits(starter, *branch, fresh=True)
    logits(starter, *chat, fresh=True)
    np.testing.assert_allclose(logits(starter, *branch, fresh=False), expected_branch, atol=1e-3)
    np.testing.assert_allclose(logits(starter, *chat, fresh=False), expected_chat, atol=1e-3)


def test_written_tokens_stay_in_the_cache(starter: LlamaMllm, picture: Pictures) -> None:
    chat = [SYSTEM, user("Tell me about owls", picture("green"))]
    first = ask(starter, *chat)
    assert first.prefilled is not None
    second = ask(starter, *chat, assistant(first.done.raw), user("And foxes?", turn=1))
    # Everything but the last written token, which was never evaluated, and the new turn.
    assert second.reused == first.prefilled.tokens + first.done.tokens - 1
    assert second.read < 20


def test_nothing_but_the_last_token_is_read_when_an_answer_is_repeated(starter: LlamaMllm) -> None:
    chat = [SYSTEM, user("Draw a boat")]
    first = ask(starter, *chat)
    again = ask(starter, *chat)
    assert again.read == 1
    assert again.done.raw == first.done.raw


def test_an_edit_rewinds_to_what_is_common(starter: LlamaMllm) -> None:
    ask(starter, SYSTEM, user("Draw a boat on the sea"))
    edited = ask(starter, SYSTEM, user("Draw a boat on a lake"))
    assert 0 < edited.reused < edited.reused + edited.read
    assert edited.read < 12


def test_beyond_512_tokens_only_roundings_differ(starter: LlamaMllm) -> None:
    """There llama.cpp evaluates a single token with another kernel than a batch (see native.CPU_READING_BATCH)."""
    chat = [SYSTEM, user(LONG * 4)]
    first = ask(starter, *chat, max_tokens=6)
    assert first.prefilled is not None and first.prefilled.tokens > 512
    chat += [assistant(first.done.raw), user("And then?", turn=1)]
    reused, fresh = softmax(logits(starter, *chat, fresh=False)), softmax(logits(starter, *chat, fresh=True))
    assert float(np.abs(reused - fresh).sum()) / 2 < 0.15


def test_a_picture_is_encoded_once(starter: LlamaMllm, picture: Pictures) -> None:
    assert starter._vision is not None
    ask(starter, SYSTEM, user("What is it?", picture("orange")))
    encoded = starter._vision.encoded
    ask(starter, SYSTEM, user("Something else entirely"))
    ask(starter, SYSTEM, user("What is it?", picture("orange")))
    ask(starter, SYSTEM, user("Look again:", picture("orange"), picture("orange")))
    assert starter._vision.encoded == encoded


def test_pictures_differ_by_content_alone(starter: LlamaMllm, picture: Pictures) -> None:
    cells = starter.prompts.build([SYSTEM, user("?", picture("red"), picture("blue"))], 16).cells
    pieces = [cell for cell in cells if isinstance(cell, PicturePiece)]
    assert len({piece.sha256 for piece in pieces}) == 2
    assert all(piece.positions <= piece.tokens for piece in pieces)
    red = logits(starter, SYSTEM, user("?", picture("red")), fresh=False)
    blue = logits(starter, SYSTEM, user("?", picture("blue")), fresh=False)
    assert float(np.abs(red - blue).max()) > 0.0


def test_looking_ahead_leaves_no_trace(starter: LlamaMllm, picture: Pictures) -> None:
    chat = turns(picture)
    expected = logits(starter, *chat, fresh=True)
    prompt = starter.prompts.build(chat, 16)
    starter.cache.peek([100, 200, 300])
    assert starter.cache.cells == prompt.cells
    starter.cache.reuse(prompt.cells)
    starter.cache.advance(prompt.cells, prompt.pictures, lambda: False)
    np.testing.assert_allclose(starter._native.logits(), expected, atol=1e-3)


def test_a_cancelled_reading_can_be_taken_up_again(starter: LlamaMllm, picture: Pictures) -> None:
    chat = [SYSTEM, user(LONG, picture("red"))]
    expected = logits(starter, *chat, fresh=True)
    prompt = starter.prompts.build(chat, 16)
    starter._native.clear()
    starter.cache._cells.clear()
    starter.cache._ends.clear()
    for looks in range(4):
        left = iter(range(looks))
        with pytest.raises(Cancelled):
            starter.cache.advance(prompt.cells, prompt.pictures, lambda left=left: next(left, None) is None)
        assert starter.cache.cells == prompt.cells[: len(starter.cache.cells)]
    np.testing.assert_allclose(logits(starter, *chat, fresh=False), expected, atol=1e-3)


def test_memory_that_cannot_be_cut_is_cleared(starter: LlamaMllm, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ask(starter, SYSTEM, user("Draw a boat")).done.raw
    ask(starter, SYSTEM, user("Draw a castle"))
    monkeypatch.setattr(starter._native, "forget", lambda position, sequence=0: False)  # as recurrent models do
    again = ask(starter, SYSTEM, user("Draw a boat"))
    assert again.reused == 0
    assert again.done.raw == expected
