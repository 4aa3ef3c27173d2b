"""What is going on, in words: stages of waking and of a turn, steps and seconds left. Knows no widget."""

import time
from typing import TYPE_CHECKING

from desktop.ui.words import tr

if TYPE_CHECKING:  # only the shape is needed: the window speaks before the engine is imported
    from desktop.state.live import LiveSlot


def stage(name: str) -> str:
    """A stage of a turn or of waking up; "" for one that needs no words."""
    return {
        "opening": tr("Opening the library…"),
        "loading_mllm": tr("Waking the director…"),
        "loading_t2i": tr("Waking the painter…"),
        "reading": tr("Reading…"),
        "writing": tr("Writing…"),
        "correcting": tr("Reading it over…"),
        "painting": tr("Painting…"),
    }.get(name, "")


def painting(slot: "LiveSlot") -> str:
    """Step and time left of a picture that is being painted."""
    if slot.index >= slot.total > 0:
        return tr("Finishing the picture…")
    if slot.index == 0:
        return tr("Beginning to paint…")
    words = tr("Painting {step} of {total}").format(step=slot.index, total=slot.total)
    left = slot.seconds_left(time.monotonic())
    return words if left is None else f"{words} · {time_left(left)}"


def time_left(seconds: float) -> str:
    """Roughly how long, in words."""
    if seconds < 1.5:
        return tr("a moment left")
    if seconds < 90:
        return tr("{seconds} s left").format(seconds=round(seconds))
    return tr("{minutes} min left").format(minutes=round(seconds / 60))
