"""`limner bench`: ratios against the bare libraries doing the same work, measured in one run on this machine.

Absolute seconds are shown for orientation; the ratios are what is compared from version to version, because machines
are noisy. Loads no model itself: the workers and `models.evaluation.measure` do.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from desktop import measure
from desktop.engine import Choice, Draft, Engine, TurnFinished
from desktop.store.bench import commit_latency
from desktop.store.records import TurnRecord
from models.contracts import KnownError, Modality, to_json

ROUNDS = 5
SENTENCE = "Draw a red fox in the snow"
TARGETS = {
    "turn_overhead_ratio": "at most 1.05",
    "onnx_over_torch": "at most 0.8",
    "window_over_empty": "at most 1.5",
    "first_token_s": "turn 20 within 1.3 of turn 2, 10 times faster than stock",
    "rss_mb": "gui at most 250",
}


def bench(as_json: bool, only: Sequence[str] | None = None) -> int:
    """Run the parts (all, or those named) and print them."""
    unknown = set(only or ()) - set(PARTS)
    if unknown:
        raise KnownError(f"There is no bench part “{unknown.pop()}”; choose from {', '.join(PARTS)}.")
    result: dict[str, Any] = {}
    for name, part in PARTS.items():
        if only and name not in only:
            continue
        if not as_json:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
        result.update(part())
    print(json.dumps(result) if as_json else "\n".join(_lines(result)))
    return 0


def _lines(result: dict[str, Any]) -> list[str]:
    return [f"{k}: {json.dumps(v)}" + (f"   (target: {TARGETS[k]})" if k in TARGETS else "") for k, v in result.items()]


# ---------------------------------------------------------------- parts
def turn_overhead() -> dict[str, Any]:
    """A drawn turn through the whole engine against bare llama-cpp-python + bare diffusers, alternating."""
    with tempfile.TemporaryDirectory() as folder, _engine(Path(folder), backend="torch") as engine:
        engine.warm_up()
        _drawn_turn(engine)
        with _Bare(engine) as bare:
            pairs = [_pair(engine, bare) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "turn_overhead_ratio": round(ours / theirs, 3),
        "turn_s": {"limner": round(ours, 3), "bare": round(theirs, 3)},
    }


def _pair(engine: Engine, bare: "_Bare") -> tuple[float, float]:
    start = time.perf_counter()
    turn = _drawn_turn(engine)
    return time.perf_counter() - start, bare.turn(turn)


def _drawn_turn(engine: Engine) -> TurnRecord:
    session = engine.store.create_session(seed=7)
    turn = None
    for event in engine.turn(Draft(session.id, SENTENCE, modality=Modality.IMAGE)):
        if isinstance(event, TurnFinished):
            turn = event.turn
    if turn is None or not turn.pictures:
        raise KnownError(f"the bench's turn drew nothing: {turn.error if turn else 'it never finished'}")
    return turn


class _Bare:
    """The bare libraries in a process of their own, asked for one turn at a time."""

    def __init__(self, engine: Engine) -> None:
        arguments = [json.dumps(to_json(engine.describe(kind))) for kind in ("mllm", "t2i")]
        entry = [sys.executable, "-m", "desktop", "--measure", "bare_turn", *arguments]
        self.process = subprocess.Popen(
            entry, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def __enter__(self) -> "_Bare":
        self._line("ready")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def turn(self, made: TurnRecord) -> float:
        """Seconds the bare libraries need for what `made` was."""
        from resources import resource

        job = {
            "text": made.text,
            "system": resource("prompts", "dialoggen", "system.txt").read_text(encoding="utf-8"),
            "max_tokens": made.passes[0].tokens_out,
            "spec": to_json(made.pictures[0].spec),
        }
        assert self.process.stdin
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return float(self._line())

    def _line(self, until: str = "") -> str:
        assert self.process.stdout
        for line in self.process.stdout:
            if not until or line.strip() == until:
                return line
        raise KnownError("The bare libraries could not be measured; “limner doctor” says what is missing.")


def first_token() -> dict[str, Any]:
    """Time to first token by turn, ours and stock, on the loaded default director."""
    with tempfile.TemporaryDirectory() as folder, _engine(Path(folder)) as engine:
        described = json.dumps(to_json(engine.describe("mllm")))
    found = measure.run("first_token", described)
    return {"first_token_s": found["ours"], "first_token_stock_s": found["stock"]}


def painter() -> dict[str, Any]:
    """ONNX against torch on this CPU, and seconds for the starter's picture with each."""
    with tempfile.TemporaryDirectory() as folder, _engine(Path(folder)) as engine:
        described = json.dumps(to_json(engine.describe("t2i")))
    return dict(measure.run("painter", described))


def window() -> dict[str, Any]:
    """Time to a shown window against an empty PySide6 window, and the memory of the three processes once warm."""
    environment = dict(os.environ)
    if sys.platform.startswith("linux") and not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        environment["QT_QPA_PLATFORM"] = "offscreen"
    with tempfile.TemporaryDirectory() as folder:
        environment["LIMNER_HOME"] = folder
        _until_shown(_EMPTY, environment), _until_shown(_LIMNER, environment)
        pairs = [(_until_shown(_LIMNER, environment), _until_shown(_EMPTY, environment)) for _ in range(ROUNDS)]
        memory = _probe_memory(environment)
    ours, empty = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "window_over_empty": round(ours / empty, 3),
        "window_s": {"limner": round(ours, 3), "empty": round(empty, 3)},
        "rss_mb": memory,
    }


_EMPTY = [
    sys.executable,
    "-c",
    "from PySide6.QtWidgets import QApplication, QWidget\nfrom PySide6.QtCore import QTimer\n"
    "app = QApplication([]); w = QWidget(); w.resize(1280, 800); w.show()\n"
    "QTimer.singleShot(0, lambda: (print('shown', flush=True), app.quit())); app.exec()",
]
_LIMNER = [sys.executable, "-m", "desktop", "--window-exit-when-shown"]
_WARM = [sys.executable, "-m", "desktop", "--window-exit-when-warm"]


def _until_shown(command: list[str], environment: dict[str, str]) -> float:
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        for line in process.stdout:
            if line.strip() == "shown":
                return time.perf_counter() - start
    raise KnownError("The window was never shown; “limner doctor” may say why.")


def _probe_memory(environment: dict[str, str]) -> dict[str, float]:
    done = subprocess.run(_WARM, capture_output=True, text=True, env=environment, check=False, timeout=300)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise KnownError("The window's memory could not be measured; “limner doctor” may say why.")
    return dict(json.loads(lines[-1]))


def commits() -> dict[str, Any]:
    """Latency of a turn's commits in a store on this disk."""
    with tempfile.TemporaryDirectory() as folder:
        return {"commit_ms": commit_latency(Path(folder))}


def _engine(folder: Path, backend: str = "auto") -> Engine:
    return Engine.open(library=folder / "library", choice=Choice(backend=backend))


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "turn_overhead": turn_overhead,
    "first_token": first_token,
    "painter": painter,
    "window": window,
    "commits": commits,
}
