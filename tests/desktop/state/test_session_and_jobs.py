"""The conversation's state and the engine's thread, over a real store and the real engine with scripted models."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from desktop.engine import Engine
from desktop.state.bugs import BugReports
from desktop.state.jobs import Job, Jobs
from desktop.state.settings import SettingsModel
from desktop.state.studio import Studio, Words
from models.contracts import SEED_MAX, BadModelError, Modality
from models.mllm.fake import ScriptedMllm
from models.t2i.fake import ScriptedT2I

FOX = "<draw>A red fox, the background is snow"


@pytest.fixture
def studio(scripted: Callable[..., Engine], until: Any, tmp_path: Path) -> Iterator[Callable[..., Studio]]:
    """`studio(*outputs)` → a studio whose engine is open and awake."""
    made: list[Studio] = []

    def make(*outputs: str, factory: Any = None, **models: Any) -> Studio:
        one = Studio(factory or (lambda: scripted(*outputs, **models)), SettingsModel(tmp_path), BugReports(tmp_path))
        made.append(one)
        stages: list[str] = []
        one.waking.connect(stages.append)
        one.start()
        if factory is None:
            until(lambda: one.session and stages[-1] == "ready")
        return one

    yield make
    for one in made:
        one.close()
        assert not any(t.name == "engine" and t.is_alive() for t in threading.enumerate()), "its thread outlived it"


def _finished(one: Studio, count: int) -> Callable[[], bool]:
    return lambda: len(one.session.branch) == count and not one.session.live and not one.busy


def test_views_are_told_what_changed(studio: Any, until: Any) -> None:
    one = studio(FOX)
    told: list[str] = []
    session = one.session
    for name in ("sessions_changed", "branch_changed", "turn_changed", "picture_added", "seed_changed"):
        getattr(session, name).connect(lambda *_, n=name: told.append(n))
    one.send(Words("Draw a fox"))
    until(_finished(one, 1))
    assert told.count("branch_changed") == 1 and told.count("turn_changed") == 1 and told.count("picture_added") == 1
    assert session.branch[0].pictures == (session.pictures[0],)
    assert session.current == session.store.session(session.current.id)
    assert session.current.title == "Draw a fox"


def test_messages_continue_each_other(studio: Any, until: Any) -> None:
    one = studio("One.", "Two.", "Three.")
    for text in ("first", "second", "third"):
        one.send(Words(text))
    until(_finished(one, 3))
    turns = one.session.branch
    assert [t.text for t in turns] == ["first", "second", "third"]
    assert [t.parent_id for t in turns] == [None, turns[0].id, turns[1].id]


def test_a_turn_runs_on_while_another_session_is_on_screen(studio: Any, until: Any) -> None:
    gate = threading.Event()

    class Slow(ScriptedT2I):
        def paint(self, *args: Any, **more: Any) -> Any:
            gate.wait(10)
            yield from super().paint(*args, **more)

    one = studio(FOX, t2i=Slow())
    one.send(Words("Draw a fox"))
    until(lambda: any(live.painting() for live in one.session.live.values()))
    first = one.session.current.id
    one.session.new()
    assert one.session.pictures == [] and one.session.branch == []
    gate.set()
    until(lambda: not one.session.live)
    assert one.session.pictures == [], "the picture belongs to the other conversation"
    one.session.switch(first)
    assert [p.number for p in one.session.pictures] == [1] and one.session.branch[0].state == "done"


def test_seed_stays_in_range(studio: Any) -> None:
    one = studio()
    for wrong in (-1, SEED_MAX + 1):
        with pytest.raises(ValueError, match="outside"):
            one.session.set_seed(wrong)
    one.session.set_seed(SEED_MAX)
    assert one.session.seed == SEED_MAX


def test_a_retry_says_the_same_from_the_same_place(studio: Any, until: Any) -> None:
    one = studio("One.", "Two.", "Two again.")
    one.send(Words("first"))
    one.send(Words("second", modality="text"))
    until(_finished(one, 2))
    old = one.session.branch[1]
    one.retry(old.id)
    until(lambda: one.session.branch[-1].id != old.id and not one.session.live)
    new = one.session.branch[1]
    assert (new.text, new.parent_id, new.modality, new.seed) == (old.text, old.parent_id, Modality.TEXT, old.seed)
    assert len(one.session.store.turns(one.session.current.id)) == 3


def test_hidden_sessions_come_back_or_go(studio: Any, until: Any) -> None:
    one = studio("One.", "Two.")
    one.send(Words("first"))
    until(_finished(one, 1))
    first = one.session.current.id
    one.session.hide(first)
    assert one.session.sessions() == [] and one.session.current is None
    one.session.unhide(first)
    assert one.session.current.id == first and one.session.branch[0].text == "first"
    one.session.hide(first)
    one.session.delete_hidden()
    assert one.session.store.sessions() == []


def test_what_was_running_when_limner_died_is_offered_again(studio: Any, until: Any, scripted: Any) -> None:
    engine = scripted("One.")
    kept = engine.store.create_session("kept", seed=3)
    from models.contracts import TurnRequest

    engine.store.begin_turn(kept.id, None, TurnRequest("t1", "Draw a fox", seed=3))
    root = engine.store.root
    engine.store.close()
    from desktop.store.store import Store

    engine.store = Store.open(root)
    one = studio(factory=lambda: engine)
    until(lambda: one.session is not None)
    assert [(t.state, t.text) for t in one.session.branch] == [("interrupted", "Draw a fox")]
    one.retry("t1")
    until(lambda: one.session.branch[0].state == "done" and not one.session.live)
    assert one.session.branch[0].text == "Draw a fox" and one.session.branch[0].seed == 3


def test_models_that_cannot_be_woken_are_said_and_tried_again(studio: Any, until: Any, scripted: Any) -> None:
    engine = scripted("One.", t2i=BadModelError("The painter is incomplete; copy it again."))
    one = studio(factory=lambda: engine)
    said: list[str] = []
    one.cannot_wake.connect(said.append)
    until(lambda: said)
    assert said == ["The painter is incomplete; copy it again."]
    assert one.chairs.states == {"mllm": "ready", "t2i": "problem"}
    engine.supervisor.models["t2i"] = ScriptedT2I()
    one.try_again()
    until(lambda: one.chairs.states == {"mllm": "ready", "t2i": "ready"})


def test_closing_in_the_middle_of_a_turn_stops_it(scripted: Any, until: Any) -> None:
    class Endless(ScriptedMllm):
        def _events(self, request: Any, cancelled: Callable[[], bool] = lambda: False) -> Any:
            for event in super()._events(request, cancelled):
                yield event
                threading.Event().wait(0.01)

    engine = scripted(mllm=Endless(["word " * 1000]))
    jobs, opened, begun = Jobs(lambda: engine), [], []
    jobs.opened.connect(opened.append)
    jobs.began.connect(lambda _, event: begun.append(event.turn.id))
    jobs.start()
    until(lambda: opened)
    session = engine.store.create_session("one")
    jobs.send(Job(session.id, "a long story"))
    until(lambda: begun)
    root = engine.store.root
    jobs.close()
    from desktop.store.store import Store

    with Store.open(root) as store:
        assert store.turn(begun[0]).state == "cancelled"


def test_a_refused_message_comes_back_with_everything(studio: Any, until: Any, tmp_path: Path) -> None:
    one = studio(FOX)
    back: list[tuple[Words, str]] = []
    one.sending_failed.connect(lambda words, sentence: back.append((words, sentence)))
    words = Words("what is this?", (str(tmp_path / "gone.png"),), "text")
    one.send(words)
    until(lambda: back)
    assert back[0][0] == words and back[0][1].endswith(".")
