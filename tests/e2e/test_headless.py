"""`limner turn`, `replay`, `models`, `doctor` as a person runs them, on the real starter pair."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

KEYS = {
    "turn_id",
    "modality",
    "say",
    "drawing_prompt",
    "negative_prompt",
    "p_draw",
    "seed",
    "images",
    "model",
    "protocol",
    "steps",
    "tokens",
    "timings",
}


def limner(*arguments: str, home: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LIMNER_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "desktop", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        input=stdin,
        timeout=240,
        check=False,
    )


def turn(session: Path, home: Path, *arguments: str) -> dict[str, Any]:
    done = limner("turn", "--session", str(session), "--json", *arguments, home=home)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.fixture(scope="module")
def conversation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[dict[str, Any]]]:
    """The three turns of the purpose: a fox, the same fox at night, a question."""
    home, session = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("session")
    turns = [
        turn(session, home, "--seed", "4711", "Draw a red fox in the snow"),
        turn(session, home, "--seed", "4711", "now at night"),
        turn(session, home, "what does a fox eat?"),
    ]
    return home, session, turns


def test_the_json_has_every_promised_key(conversation: tuple[Path, Path, list[dict[str, Any]]]) -> None:
    for result in conversation[2]:
        assert set(result) >= KEYS
        assert set(result["timings"]) >= {"mllm_s", "t2i_s", "total_s", "first_token_s"}
        assert set(result["model"]) == {"mllm", "t2i"}
        assert 0 <= result["p_draw"] <= 1


def test_a_request_is_drawn_and_an_edit_keeps_the_fox(conversation: tuple[Path, Path, list[dict[str, Any]]]) -> None:
    first, second, _ = conversation[2]
    assert first["modality"] == second["modality"] == "image"
    assert "fox" in first["drawing_prompt"] and "fox" in second["drawing_prompt"]
    assert "night" in second["drawing_prompt"] and first["drawing_prompt"] != second["drawing_prompt"]
    assert first["seed"] == second["seed"] == 4711
    for result in (first, second):
        with Image.open(result["images"][0]) as picture:
            picture.load()
            assert min(picture.size) >= 64 and len(picture.convert("RGB").getcolors(1 << 24) or []) > 100
    assert "<draw>" not in first["say"] and first["tokens"]["kept"]


def test_a_question_is_answered_in_words(conversation: tuple[Path, Path, list[dict[str, Any]]]) -> None:
    third = conversation[2][2]
    assert third["modality"] == "text" and third["images"] == [] and len(third["say"]) > 3


def test_replay_certifies_every_picture(conversation: tuple[Path, Path, list[dict[str, Any]]]) -> None:
    home, session, turns = conversation
    done = limner("replay", str(session), "--json", home=home)
    assert done.returncode == 0, done.stderr
    verdicts = [p["verdict"] for p in json.loads(done.stdout)["pictures"]]
    assert verdicts == ["same bytes"] * sum(len(t["images"]) for t in turns)


def test_both_back_ends_draw_when_told_to(
    conversation: tuple[Path, Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    home = conversation[0]
    for backend in ("torch", "onnx"):
        result = turn(
            tmp_path / backend, home, "--backend", backend, "--modality", "image", "--steps", "4", "--seed", "1", "fox"
        )
        assert len(result["images"]) == 1


def test_modality_by_hand_is_obeyed(conversation: tuple[Path, Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    result = turn(tmp_path, conversation[0], "--modality", "text", "Draw a red fox in the snow")
    assert result["modality"] == "text" and not result["images"] and result["say"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "-1", "a fox"], "seed"),
        (["--seed", "4294967296", "a fox"], "seed"),
        (["--image", "{tmp}/missing.png", "what is this?"], "missing.png"),
        (["--image", "{tmp}/broken.png", "what is this?"], "broken.png"),
        ([""], "say"),
        (["--mllm", "nobody", "a fox"], "nobody"),
    ],
)
def test_known_errors_are_one_sentence_and_exit_3(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    filled = [a.format(tmp=tmp_path) for a in arguments]
    done = limner("turn", "--session", str(tmp_path / "s"), *filled, home=tmp_path / "home")
    assert done.returncode == 3, (done.stdout, done.stderr)
    assert len(done.stderr.strip().splitlines()) == 1 and words in done.stderr.lower()


def test_a_size_the_painter_cannot_do_is_refused(tmp_path: Path) -> None:
    done = limner(
        "turn",
        "--session",
        str(tmp_path / "s"),
        "--modality",
        "image",
        "--size",
        "13x7000",
        "a fox",
        home=tmp_path / "h",
    )
    assert done.returncode == 3 and len(done.stderr.strip().splitlines()) == 1


def test_wrong_usage_is_exit_2(tmp_path: Path) -> None:
    assert limner("turn", "--size", "large", "a fox", home=tmp_path).returncode == 2
    assert limner("turn", home=tmp_path).returncode == 2
    assert limner("dance", home=tmp_path).returncode == 2


def test_a_megabyte_of_text_is_refused_in_a_sentence(tmp_path: Path) -> None:
    done = limner("turn", "--session", str(tmp_path / "s"), "-", home=tmp_path / "h", stdin="fox " * 262_144)
    assert done.returncode == 3 and len(done.stderr.strip().splitlines()) == 1


def test_ctrl_c_leaves_the_store_whole(tmp_path: Path) -> None:
    environment = {**os.environ, "LIMNER_HOME": str(tmp_path / "h")}
    session = tmp_path / "s"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "desktop",
            "turn",
            "--session",
            str(session),
            "--modality",
            "image",
            "--steps",
            "200",
            "a fox",
        ],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _until_pending(session, process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    again = limner("replay", str(session), "--json", home=tmp_path / "h")
    assert again.returncode == 0, again.stderr


def _until_pending(session: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if (session / "limner.sqlite").exists():
            time.sleep(1.0)
            return
        time.sleep(0.05)
    raise AssertionError("the session was never opened")


def test_models_and_doctor_tell_what_is_here(tmp_path: Path) -> None:
    listed = json.loads(limner("models", "list", "--json", home=tmp_path).stdout)
    assert {m["name"] for m in listed} >= {"limner-starter-vl", "limner-starter-sd"}
    verified = limner("models", "verify", home=tmp_path)
    assert verified.returncode == 0, verified.stdout
    doctor = limner("doctor", home=tmp_path)
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert "Memory:" in doctor.stdout and "limner-starter-sd" in doctor.stdout
