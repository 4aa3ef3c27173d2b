"""A full context: whole oldest turns leave, system part and latest picture stay, the rest stays put for a while."""

from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from models.contracts import ImageRef, Message
from models.mllm.context import TurnSize, first_kept, without_turns
from models.mllm.llama import LlamaMllm
from models.mllm.vision import PicturePiece
from tests.models.mllm.conftest import SYSTEM, ask, assistant, user

Pictures = Callable[[str], ImageRef]
sizes = st.lists(st.builds(lambda a, b: TurnSize(a, a + b), st.integers(1, 50), st.integers(0, 50)), min_size=1)


@given(sizes, st.integers(0, 40), st.integers(60, 400))
def test_what_is_kept_fits_and_the_newest_stays(turns: list[TurnSize], fixed: int, budget: int) -> None:
    start = first_kept(turns, fixed, budget)
    assert 0 <= start < len(turns)
    needed = fixed + sum(turn.full for turn in turns[start:-1]) + turns[-1].asked
    assert needed <= budget or start == len(turns) - 1


@given(sizes, st.integers(0, 40), st.integers(60, 400))
def test_a_turn_that_has_left_never_comes_back(turns: list[TurnSize], fixed: int, budget: int) -> None:
    starts = [first_kept(turns[:n], fixed, budget) for n in range(1, len(turns) + 1)]
    assert starts == sorted(starts)


def test_turns_leave_in_steps_so_that_the_cache_survives() -> None:
    turns = [TurnSize(10, 20)] * 40
    starts = [first_kept(turns[:n], 10, 200) for n in range(1, 41)]
    changes = sum(a != b for a, b in pairwise(starts))
    assert 5 <= changes <= 10  # not at every one of the thirty turns after the context is full


def test_the_latest_picture_moves_to_the_newest_message() -> None:
    old, new = ImageRef("a", "a", 1, 1), ImageRef("b", "b", 1, 1)
    chat = [SYSTEM, user("x", old, turn=0), user("y", new, turn=1), user("z", turn=2)]
    assert without_turns(chat, frozenset({0, 1}))[-1].images == (new,)
    assert without_turns(chat, frozenset({0}))[-1].images == ()


def long_chat(count: int) -> list[Message]:
    words = "a quiet fox and an owl in the snow under the old bridge"
    chat = [SYSTEM]
    for turn in range(count):
        chat += [user(f"{turn}: {words}", turn=turn), assistant(f"<draw> {words}", turn=turn)]
    return [*chat, user("and now at night", turn=count)]


def test_whole_oldest_turns_leave_and_are_named(blind: LlamaMllm) -> None:
    answer = ask(blind, *long_chat(20), max_tokens=8)
    assert answer.prefilled is not None
    dropped = answer.prefilled.dropped_turns
    assert dropped == tuple(range(len(dropped)))
    assert 10 < len(dropped) < 20
    assert answer.prefilled.tokens + 8 <= blind.info.n_ctx


def test_after_the_overflow_prompts_still_begin_alike(blind: LlamaMllm) -> None:
    prompts = [blind.prompts.build(long_chat(count), 8).cells for count in range(10, 30)]
    alike = [next(i for i, (a, b) in enumerate(zip(*pair, strict=False)) if a != b) for pair in pairwise(prompts)]
    assert sum(length > 60 for length in alike) >= 10  # else only the system part would be found in the cache


def test_a_conversation_goes_on_and_on(blind: LlamaMllm) -> None:
    chat, dropped = [SYSTEM], 0
    for turn in range(10):
        chat.append(user(f"Turn {turn}: tell me more about boats and castles and snow, please", turn=turn))
        answer = ask(blind, *chat, max_tokens=12)
        assert answer.prefilled is not None and answer.done.finish in ("stop", "length")
        dropped = len(answer.prefilled.dropped_turns)
        chat.append(assistant(f"{answer.done.raw} And so it went on and on, as before.", turn=turn))
    assert dropped > 0


def test_the_latest_picture_stays_when_its_turn_leaves(starter: LlamaMllm, picture: Pictures) -> None:
    words = "a quiet fox and an owl in the snow under the old bridge, " * 6
    chat = [SYSTEM, user("old", picture("blue"), turn=0), user(f"look {words}", picture("red"), turn=1)]
    for turn in range(2, 14):
        chat += [user(words, turn=turn), assistant(words, turn=turn)]
    prompt = starter.prompts.build([*chat, user("and now?", turn=14)], 64)
    assert {0, 1} <= set(prompt.dropped_turns)
    shown = [cell.sha256 for cell in prompt.cells if isinstance(cell, PicturePiece)]
    assert shown == [picture("red").sha256]
