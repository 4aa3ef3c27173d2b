"""For `limner bench`: print the memory of the window and its workers once both models are awake, then close."""

import json
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from desktop.ui.app import Limner

MB = 1024 * 1024


def exit_when_warm(limner: "Limner") -> None:
    """Print {"gui", "mllm", "t2i"} in MB of resident memory when the models are ready, or {} if they cannot be."""
    limner.ready.connect(lambda: _wait(limner))


def _wait(limner: "Limner") -> None:
    assert limner.studio
    limner.studio.waking.connect(lambda stage: _tell(limner, resident()) if stage == "ready" else None)
    limner.studio.cannot_wake.connect(lambda _: _tell(limner, {}))
    limner.studio.cannot_open.connect(lambda _: _tell(limner, {}))


def _tell(limner: "Limner", memory: dict[str, float]) -> None:
    print(json.dumps(memory), flush=True)
    limner.window.close()


def resident() -> dict[str, float]:
    """Resident memory in MB of this process and of its workers."""
    own = psutil.Process()
    found = {"gui": round(own.memory_info().rss / MB, 1)}
    for child in own.children(recursive=True):
        kind = next((word for word in child.cmdline() if word in ("mllm", "t2i")), "")
        if kind:
            found[kind] = round(child.memory_info().rss / MB, 1)
    return found
