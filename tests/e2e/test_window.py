"""A stranger's first two minutes: the real window, the real starter models, on a display of its own.

The screenshots stay in tests/artifacts/ to be looked at.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DRIVER = Path(__file__).with_name("drive_window.py")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, artifacts: Path) -> dict[str, Any]:
    """What the driver saw."""
    home = tmp_path_factory.mktemp("window")
    done = subprocess.run(
        [*_display(), sys.executable, str(DRIVER), str(home), str(artifacts)],
        capture_output=True, text=True, timeout=280, check=False, env=_environment(home), cwd=DRIVER.parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _display() -> list[str]:
    if os.environ.get("DISPLAY") or not shutil.which("xvfb-run"):
        return []
    return ["xvfb-run", "-a", "-s", "-screen 0 1440x900x24"]


def _environment(home: Path) -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if k != "QT_QPA_PLATFORM"}
    environment |= {"LIMNER_HOME": str(home), "PYTHONPATH": str(DRIVER.parents[2]), "LANG": "C.UTF-8"}
    if not _display() and not os.environ.get("DISPLAY"):
        environment["QT_QPA_PLATFORM"] = "offscreen"
    return environment


def test_the_window_was_there_before_the_models(seen: dict[str, Any]) -> None:
    assert seen["shown_before_models"]
    assert seen["heavy"] == []


def test_a_fox_appears(seen: dict[str, Any]) -> None:
    turn = seen["turns"][0]
    assert (turn["state"], turn["error"]) == ("done", None)
    assert turn["shown_pictures"] == len(turn["prompts"]) == 1
    assert "fox" in turn["prompts"][0].lower()
    assert turn["seeds"] == [4711]
    assert seen["canvas_is_the_file"][0], "the canvas shows the file's own pixels"


def test_the_same_fox_at_night(seen: dict[str, Any]) -> None:
    turn = seen["turns"][1]
    assert turn["state"] == "done" and turn["shown_pictures"] == 1
    assert "fox" in turn["prompts"][0].lower() and "night" in turn["prompts"][0].lower()
    assert turn["seeds"] == [4711], "the seed is kept"
    assert seen["canvas_is_the_file"][1]


def test_a_question_gets_words(seen: dict[str, Any]) -> None:
    turn = seen["turns"][2]
    assert turn["state"] == "done" and turn["prompts"] == [] and turn["shown_pictures"] == 0
    assert turn["say"].strip()


def test_what_is_shown_is_what_was_kept(seen: dict[str, Any]) -> None:
    for turn in seen["turns"]:
        assert "<draw>" not in turn["shown"] and "<画图>" not in turn["shown"]
        plain = "".join(turn["say"].replace("*", "").split())
        assert "".join(turn["shown"].split()) == plain


def test_the_inspector_shows_the_prompt_that_was_sent(seen: dict[str, Any]) -> None:
    first = seen["turns"][0]
    assert first["text"] in seen["inspector"] and first["raw"].strip() in seen["inspector"]
    assert first["prompts"][0] in seen["inspector"]
    assert f"{first['p_draw']:.4f}" in seen["inspector"] and "4711" in seen["inspector"]


def test_a_killed_painter_is_said_and_the_turn_repeated(seen: dict[str, Any]) -> None:
    assert seen["died"]["state"] == "failed"
    assert seen["died"]["sentence"].endswith(".") and "Traceback" not in seen["died"]["sentence"]
    assert seen["again"] == {"text": "Draw a red fox in the snow", "state": "done", "pictures": 1}
    assert seen["verify"] == []


def test_every_step_left_a_screenshot(seen: dict[str, Any], artifacts: Path) -> None:
    for name in ("0-empty", "1-fox", "2-night", "3-words", "4-inspector", "5-died", "6-again"):
        assert (artifacts / f"window-{name}.png").stat().st_size > 10_000
