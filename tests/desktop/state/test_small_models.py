"""Settings, drafts, bug reports, chairs, the running turn: each against real files and real events."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QObject

from desktop.engine import TurnFinished
from desktop.state.bugs import BugReports
from desktop.state.chairs import Chairs
from desktop.state.drafts import Drafts
from desktop.state.live import LiveSlot, LiveTurn
from desktop.state.session import title_from
from desktop.state.settings import SettingsModel
from desktop.store.records import TurnRecord
from models.contracts import (
    Decided,
    DrawStarted,
    DrawStep,
    GenerationSpec,
    Modality,
    ModelRef,
    PaintOverrides,
    Prefilled,
    PromptTokens,
    SayDelta,
    Step,
    TurnStage,
)

SPEC = GenerationSpec("a fox", 7, 64, 64, 4, 4.0, "ddim")
TURN = TurnRecord("t", "s", None, 0.0, "pending", "a fox", (), Modality.AUTO, 7, False, PaintOverrides())


def test_settings_are_remembered(tmp_path: Path) -> None:
    told: list[str] = []
    first = SettingsModel(tmp_path)
    first.changed.connect(told.append)
    first.theme, first.language, first.modality = "dark", "zh", "image"
    first.set_flag("session_list", False)
    first.theme = "dark"
    assert told == ["theme", "language", "modality", "session_list"]
    again = SettingsModel(tmp_path)
    assert (again.theme, again.language, again.modality, again.spoken) == ("dark", "zh", "image", "zh")
    assert again.flag("session_list", True) is False and again.flag("unknown", True) is True


def test_nonsense_in_the_settings_falls_back(tmp_path: Path) -> None:
    (tmp_path / "window.ini").write_text("[General]\ntheme=plaid\nlanguage=klingon\n")
    settings = SettingsModel(tmp_path)
    assert (settings.theme, settings.language, settings.spoken) == ("system", "system", "en")
    assert settings.layout("window").isEmpty()


def test_drafts_survive(tmp_path: Path) -> None:
    file = tmp_path / "drafts.json"
    drafts = Drafts(file)
    drafts.set_typed("one", "half a thought")
    drafts.set_typed("two", "x")
    drafts.set_typed("two", "")
    drafts.flush()
    assert Drafts(file).typed("one") == "half a thought" and Drafts(file).typed("two") == ""


def test_a_message_that_never_reached_the_store_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "drafts.json"
    drafts = Drafts(file)
    drafts.sent("job 1", "one", "Draw a fox")
    assert Drafts(file).typed("one") == "Draw a fox", "it is on disk before anything runs"
    drafts.committed("job 1")
    drafts.flush()
    assert Drafts(file).typed("one") == ""


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"typed": 3, "waiting": {}}', '{"typed": {}, "waiting": {"a": 1}}'])
def test_damaged_drafts_are_ignored(tmp_path: Path, damage: str) -> None:
    (tmp_path / "drafts.json").write_text(damage)
    assert Drafts(tmp_path / "drafts.json").typed("one") == ""


def test_drafts_on_a_disk_that_cannot_be_written(tmp_path: Path) -> None:
    drafts = Drafts(tmp_path / "missing folder" / "drafts.json")
    drafts.sent("job", "one", "words")
    assert not (tmp_path / "missing folder").exists()


def test_a_bug_report_tells_and_stays_here(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bugs, told = BugReports(tmp_path / "reports"), []
    bugs.written.connect(lambda path, text: told.append((path, text)))
    try:
        raise ZeroDivisionError("of ours")
    except ZeroDivisionError as error:
        path = bugs.report(error)
    assert told == [(path, Path(path).read_text())]
    assert "ZeroDivisionError: of ours" in told[0][1] and "test_small_models.py" in told[0][1]
    assert "of ours" in capfd.readouterr().err


def test_a_bug_report_without_a_disk(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert BugReports(tmp_path / "file" / "reports").report(ValueError("x")) == ""
    capfd.readouterr()


def test_chairs_follow_a_turn() -> None:
    chairs = Chairs()
    seen = []
    for event in ("loading_mllm", "reading", "loading_t2i", "painting", "ready"):
        chairs.stage(event)
        seen.append((chairs.states["mllm"], chairs.states["t2i"]))
    assert [mllm for mllm, _ in seen] == ["loading", "busy", "ready", "ready", "ready"]
    assert [t2i for _, t2i in seen] == ["asleep", "asleep", "loading", "busy", "ready"]


def test_chairs_after_a_failure() -> None:
    chairs = Chairs()
    chairs.stage("loading_mllm")
    chairs.problem()
    assert chairs.states == {"mllm": "problem", "t2i": "asleep"}
    chairs = Chairs()
    chairs.apply(TurnStage("painting"))
    chairs.apply(TurnFinished(replace(TURN, state="failed", error="gone", t2i=ModelRef("sd", "0"))))
    assert chairs.states["t2i"] == "asleep" and chairs.names["t2i"] == "sd"


def test_the_running_turn() -> None:
    now = [100.0]
    live = LiveTurn(TURN, clock=lambda: now[0])
    for event in (TurnStage("writing"), Prefilled(9, 0, 0.1, (0,)), Decided(0.9), SayDelta("He"), SayDelta("llo")):
        live.apply(event)
    assert (live.stage, live.said, live.p_draw, live.dropped_turns) == ("writing", "Hello", 0.9, (0,))
    live.apply(DrawStarted(0, SPEC, (), PromptTokens((), (), 77)))
    slot = live.painting()
    assert slot is not None and slot.progress() == 0 and slot.seconds_left(now[0]) is None
    for index in (1, 2):
        now[0] += 2.0
        live.apply(DrawStep(0, Step(index, 4, b"picture" if index == 1 else None)))
    assert slot.progress() == 0.5 and slot.preview == b"picture"
    assert slot.seconds_left(now[0]) == pytest.approx(4.0)
    assert slot.seconds_left(now[0] + 1) == pytest.approx(3.0)
    assert slot.seconds_left(now[0] + 60) == 0


def test_a_step_of_an_unknown_slot_is_ignored() -> None:
    live = LiveTurn(TURN)
    live.apply(DrawStep(3, Step(1, 4)))
    assert live.slots == {} and live.painting() is None


def test_progress_without_steps() -> None:
    assert LiveSlot(0, SPEC, (), PromptTokens((), (), 77), 0.0).progress() == 0.0


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("Draw a fox", "Draw a fox"),
        ("\n  Draw a fox\nin the snow", "Draw a fox"),
        ("", ""),
        ("Draw a very small red fox that sleeps under a snowy fir", "Draw a very small red fox that sleeps under a…"),
        ("画" * 60, "画" * 48 + "…"),
    ],
)  # fmt: skip
def test_titles(words: str, title: str) -> None:
    assert title_from(words) == title


def test_a_hundred_thousand_signals_do_not_end_the_process(qapp: QObject) -> None:
    code = (
        "from PySide6.QtCore import QCoreApplication, QObject, Signal\n"
        "from desktop.state.qt_fixes import keep_singletons_alive\n"
        "class Thing(QObject):\n    told = Signal(object)\n"
        "app = QCoreApplication([])\nkeep_singletons_alive()\nkeep_singletons_alive()\n"
        "thing = Thing()\n"
        "for _ in range(100_000):\n    thing.told.emit(None)\n    thing.setObjectName('x')\n"
        "print('alive')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "alive"), done.stderr


def test_no_model_library_is_ever_imported_here() -> None:
    """The window's process knows neither torch nor llama.cpp, whatever it shows."""
    code = (
        "import sys, json\nimport desktop.ui.app, desktop.ui.panels, desktop.ui.wiring, desktop.ui.inspector\n"
        "heavy = [m for m in ('torch', 'llama_cpp', 'diffusers', 'transformers', 'onnxruntime') if m in sys.modules]\n"
        "print(json.dumps(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == []


def test_little_is_imported_before_the_window_shows() -> None:
    code = (
        "import sys, desktop.ui.app\n"
        "print(*[m for m in sys.modules if m.startswith(('desktop.', 'models', 'sqlite3', 'PIL'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert set(done.stdout.split()) == {
        "desktop.places", "desktop.state", "desktop.state.qt_fixes", "desktop.state.settings",
        "desktop.ui", "desktop.ui.app", "desktop.ui.main_window", "desktop.ui.theme", "desktop.ui.words",
    }  # fmt: skip
