"""An event loop without a window."""

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

if not os.environ.get("DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QEventLoop
from PySide6.QtWidgets import QApplication

from desktop.state.qt_fixes import keep_singletons_alive


@pytest.fixture(scope="session", autouse=True)
def qapp() -> QApplication:
    """The one QApplication of this process."""
    keep_singletons_alive()
    app = QApplication.instance() or QApplication(["limner"])
    assert isinstance(app, QApplication)
    app.setQuitOnLastWindowClosed(False)
    return app


@pytest.fixture
def until(qapp: QApplication) -> Callable[..., None]:
    """`until(condition)`: let Qt work until the condition holds; fails after `seconds`."""

    def wait(condition: Callable[[], Any], seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            qapp.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
            time.sleep(0.001)

    return wait
