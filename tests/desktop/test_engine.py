"""The engine's order of writes and what becomes of a turn when something goes wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest

from desktop.engine import Choice, Draft, Engine, EngineEvent, PictureStored, TurnBegan, TurnFinished
from models.contracts import (
    SEED_MAX,
    BadInputError,
    BadModelError,
    Cancelled,
    OutOfMemoryError,
    PaintOverrides,
    SayDelta,
    WorkerDiedError,
)
from models.mllm.fake import ScriptedMllm
from models.t2i.fake import ScriptedT2I

Make = Callable[..., Engine]
FOX = "<draw>A red fox, the background is snow</draw>Here is a fox."


def run(engine: Engine, text: str, parent: str | None = None, **changes: object) -> list[EngineEvent]:
    sessions = engine.store.sessions()
    session = sessions[0] if sessions else engine.store.create_session(seed=7)
    draft = Draft(session_id=session.id, text=text, parent_id=parent, **changes)  # type: ignore[arg-type]
    return list(engine.turn(draft))


def last(events: list[EngineEvent]) -> TurnFinished:
    assert isinstance(events[-1], TurnFinished)
    return events[-1]


def test_the_turn_is_pending_in_the_store_before_any_model_runs(scripted: Make) -> None:
    engine = scripted(FOX)
    session = engine.store.create_session(seed=7)
    stream = engine.turn(Draft(session.id, "a fox"))
    began = next(stream)
    assert isinstance(began, TurnBegan)
    assert engine.store.turn(began.turn.id).state == "pending"
    assert engine.supervisor.models["mllm"].requests == []  # type: ignore[attr-defined]
    assert last(list(stream)).turn.state == "done"


def test_a_drawn_turn_stores_the_picture_before_it_is_shown(scripted: Make) -> None:
    engine = scripted(FOX)
    events = run(engine, "a fox")
    stored = [e for e in events if isinstance(e, PictureStored)]
    assert len(stored) == 1 and Path(stored[0].picture.path).is_file()
    turn = last(events).turn
    assert turn.pictures == (stored[0].picture,) and turn.pictures[0].spec.seed == 7
    assert "".join(e.text for e in events if isinstance(e, SayDelta)).strip() == "Here is a fox."


def test_the_next_turn_hears_the_past(scripted: Make) -> None:
    engine = scripted(FOX, "Mice, mostly.")
    first = last(run(engine, "a fox")).turn
    run(engine, "what does it eat?", parent=first.id)
    said = [m.text for m in engine.supervisor.models["mllm"].requests[1].messages]  # type: ignore[attr-defined]
    assert "a fox" in said and FOX in said


def test_a_branch_forgets_its_sibling(scripted: Make) -> None:
    engine = scripted("One.", "Two.", "Three.")
    root = last(run(engine, "hello")).turn
    run(engine, "left", parent=root.id)
    run(engine, "right", parent=root.id)
    said = [m.text for m in engine.supervisor.models["mllm"].requests[2].messages]  # type: ignore[attr-defined]
    assert "left" not in said and "hello" in said


def test_an_unlocked_seed_is_rolled_and_a_given_one_kept(scripted: Make) -> None:
    engine = scripted(FOX, FOX, FOX)
    session = engine.store.create_session(seed=7, seed_locked=False)
    seeds = [
        last(list(engine.turn(Draft(session.id, "a fox", seed=seed)))).turn.pictures[0].spec.seed
        for seed in (None, None, 11)
    ]
    assert seeds[2] == 11 and len({7, *seeds}) == 4


@pytest.mark.parametrize("seed", [-1, SEED_MAX + 1])
def test_a_seed_out_of_range_is_refused_before_anything_is_written(scripted: Make, seed: int) -> None:
    engine = scripted(FOX)
    with pytest.raises(BadInputError, match="seed"):
        run(engine, "a fox", seed=seed)
    assert engine.store.turns(engine.store.sessions()[0].id) == []


def test_nothing_said_is_refused(scripted: Make) -> None:
    with pytest.raises(BadInputError, match="say something"):
        run(scripted(FOX), " \n")


@pytest.mark.parametrize(
    "fault",
    [OutOfMemoryError("The painter ran out of memory; make it smaller."), WorkerDiedError("It died; try again.")],
)
def test_a_painter_that_fails_keeps_the_words(scripted: Make, fault: Exception) -> None:
    engine = scripted(FOX, FOX, t2i=ScriptedT2I(fault=fault))
    turn = last(run(engine, "a fox")).turn
    assert (turn.state, turn.error, turn.text) == ("failed", str(fault), "a fox")
    assert turn.reply and turn.reply.raw == FOX
    engine.supervisor.models["t2i"].fault = None  # type: ignore[attr-defined]
    assert last(run(engine, "a fox")).turn.state == "done"


def test_a_director_that_fails_keeps_the_words(scripted: Make) -> None:
    engine = scripted(mllm=ScriptedMllm([FOX], fault=WorkerDiedError("The director died; try again.")))
    turn = last(run(engine, "a fox")).turn
    assert (turn.state, turn.text) == ("failed", "a fox")


def test_a_model_that_cannot_be_loaded_fails_the_turn(scripted: Make) -> None:
    engine = scripted(mllm=BadModelError("The file is damaged; download it again."))
    assert last(run(engine, "a fox")).turn.error == "The file is damaged; download it again."
    assert engine.status()["mllm"] == "failed"


def test_an_unknown_model_is_named(scripted: Make) -> None:
    engine = scripted(FOX)
    engine.choice = Choice(mllm="nobody")
    assert "nobody" in (last(run(engine, "a fox")).turn.error or "")


def test_a_bug_fails_the_turn_and_is_raised(scripted: Make) -> None:
    engine = scripted(FOX, t2i=ScriptedT2I(fault=ZeroDivisionError("ours")))
    with pytest.raises(ZeroDivisionError):
        run(engine, "a fox")
    session = engine.store.sessions()[0]
    assert [t.state for t in engine.store.turns(session.id)] == ["failed"]


def test_a_cancel_is_a_normal_end(scripted: Make) -> None:
    engine = scripted(FOX)
    session = engine.store.create_session(seed=7)
    events = list(engine.turn(Draft(session.id, "a fox"), cancelled=lambda: True))
    assert last(events).turn.state == "cancelled"


def test_a_painter_that_is_cancelled_is_no_error(scripted: Make) -> None:
    engine = scripted(FOX, t2i=ScriptedT2I(fault=Cancelled()))
    assert last(run(engine, "a fox")).turn.state == "cancelled"


def test_a_stream_that_is_dropped_leaves_no_pending_turn(scripted: Make) -> None:
    engine = scripted(FOX, FOX)
    session = engine.store.create_session(seed=7)
    stream = engine.turn(Draft(session.id, "a fox"))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert [t.state for t in engine.store.turns(session.id)] == ["failed"]
    assert last(list(engine.turn(Draft(session.id, "a fox")))).turn.state == "done"


def test_variations_are_numbered_and_differ_in_their_seed(scripted: Make) -> None:
    turn = last(run(scripted(FOX), "a fox", overrides=PaintOverrides(count=3))).turn
    assert [p.spec.seed for p in turn.pictures] == [7, 8, 9]
    assert [p.number for p in turn.pictures] == [1, 2, 3]
