"""Sits at the real window with the real starter models, types like an artist, and writes down what it sees.

Run by test_window.py in a process of its own: `python drive_window.py HOME ARTIFACTS`. Prints one JSON object.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from PySide6.QtCore import QEventLoop, Qt
from PySide6.QtGui import QImage, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from desktop.engine import Engine
from desktop.ui.app import Limner
from desktop.ui.parts import Fault

HOME, ARTIFACTS = Path(sys.argv[1]), Path(sys.argv[2])
SEEN: dict[str, Any] = {}

app = QApplication(["limner"])
limner = Limner(app, lambda: Engine.open(HOME), HOME)


def until(happened: Callable[[], Any], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            shoot("stuck")
            raise TimeoutError("it did not happen in time")
        app.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
        time.sleep(0.002)


def shoot(name: str) -> None:
    limner.window.grab().save(str(ARTIFACTS / f"window-{name}.png"))


def session() -> Any:
    assert limner.studio and limner.studio.session
    return limner.studio.session


def write(text: str) -> None:
    """Real key presses, Enter at the end."""
    assert limner.panels
    edit = limner.panels.composer.edit
    edit.setFocus()
    QTest.keyClicks(edit, text)
    QTest.keyClick(edit, Qt.Key.Key_Return)


def settled(count: int) -> Callable[[], bool]:
    return lambda: bool(
        len(session().branch) == count and not session().live and limner.studio and not limner.studio.busy
    )


def say(text: str, name: str) -> None:
    count = len(session().branch)
    write(text)
    until(settled(count + 1))
    rest()
    shoot(name)


def rest() -> None:
    assert limner.wiring
    limner.wiring.images.wait()
    end = time.monotonic() + 0.3
    until(lambda: time.monotonic() > end)


def turns() -> list[dict[str, Any]]:
    """What the store has, and what the chat shows of it."""
    assert limner.panels
    found = []
    for turn in session().store.branch(session().store.session(session().current.id).head):
        view = limner.panels.chat.view(turn.id)
        found.append(
            {
                "text": turn.text, "state": turn.state, "error": turn.error,
                "raw": turn.reply.raw if turn.reply else "",
                "say": turn.reply.say if turn.reply else "", "p_draw": turn.p_draw,
                "seeds": [p.spec.seed for p in turn.pictures], "prompts": [p.spec.prompt for p in turn.pictures],
                "shown": view.said() if view else None,
                "shown_pictures": len(view.pictures) if view else 0,
            }
        )  # fmt: skip
    return found


def same_pixels() -> bool:
    """Whether the canvas shows exactly the file of the chosen picture."""
    assert limner.panels
    file = QImage(session().picture(session().chosen_picture).path)
    shown = limner.panels.canvas.pixmap.toImage()
    return bool(shown.convertToFormat(QImage.Format.Format_RGB32) == file.convertToFormat(QImage.Format.Format_RGB32))


def talk() -> None:
    say("Draw a red fox in the snow", "1-fox")
    SEEN["canvas_is_the_file"] = [same_pixels()]
    say("now at night", "2-night")
    SEEN["canvas_is_the_file"].append(same_pixels())
    say("what does a fox eat?", "3-words")
    SEEN["turns"] = turns()


def inspect() -> None:
    assert limner.panels and limner.wiring
    limner.wiring.choose_picture(1)
    QTest.keySequence(limner.window, QKeySequence("Ctrl+I"))
    rest()
    shoot("4-inspector")
    SEEN["inspector"] = "\n".join(section.text() for section in limner.panels.inspector.sections)
    QTest.keySequence(limner.window, QKeySequence("Ctrl+I"))


def kill_a_worker(kind: str) -> None:
    for child in psutil.Process().children(recursive=True):
        if kind in child.cmdline():
            os.kill(child.pid, signal.SIGKILL)


def die_and_try_again() -> None:
    """The painter's process is killed while it paints."""
    assert limner.panels
    count = len(session().branch)
    write("Draw a red fox in the snow")
    until(lambda: any(live.painting() or live.stage == "painting" for live in session().live.values()))
    kill_a_worker("t2i")
    until(settled(count + 1))
    rest()
    shoot("5-died")
    view = limner.panels.chat.views[-1]
    fault = view.findChild(Fault)
    SEEN["died"] = {"state": session().branch[-1].state, "sentence": fault.sentence.text() if fault else ""}
    failed = session().branch[-1].id
    if fault:
        QTest.mouseClick(fault.button, Qt.MouseButton.LeftButton)
        until(lambda: session().branch[-1].id != failed and settled(count + 1)())
    rest()
    shoot("6-again")
    again = session().branch[-1]
    SEEN["again"] = {"text": again.text, "state": again.state, "pictures": len(again.pictures)}


def main() -> None:
    limner.show()
    until(lambda: limner.panels)
    SEEN["shown_before_models"] = limner.studio is None or limner.studio.engine is None
    until(lambda: limner.studio and limner.studio.session)
    until(lambda: set(limner.studio.chairs.states.values()) == {"ready"} or limner.panels.fault)  # type: ignore[union-attr]
    limner.window.activateWindow()
    session().set_seed(4711)
    shoot("0-empty")
    talk()
    inspect()
    die_and_try_again()
    SEEN["verify"] = session().store.verify()
    SEEN["heavy"] = [name for name in ("torch", "llama_cpp", "diffusers", "onnxruntime") if name in sys.modules]
    limner.window.close()
    print(json.dumps(SEEN, ensure_ascii=False))


if __name__ == "__main__":
    main()
