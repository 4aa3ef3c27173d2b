"""A real window over a real store and the real engine, with scripted models in the chairs. No display is needed."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if not os.environ.get("DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QEvent, QEventLoop
from PySide6.QtWidgets import QApplication

from desktop.state.qt_fixes import keep_singletons_alive
from desktop.state.settings import SettingsModel
from desktop.ui import theme
from desktop.ui.app import Limner
from desktop.ui.words import Language

Until = Callable[..., None]


@pytest.fixture(scope="session")
def qapp() -> QApplication:
    """The one QApplication of this process."""
    keep_singletons_alive()
    app = QApplication.instance() or QApplication(["limner"])
    assert isinstance(app, QApplication)
    app.setStyle("Fusion")
    app.setQuitOnLastWindowClosed(False)
    return app


@pytest.fixture(autouse=True)
def english_and_light(qapp: QApplication) -> Iterator[None]:
    """Every test begins in English and in light colours, and leaves no window behind."""
    language = Language(qapp)
    language.speak("en")
    theme.apply(qapp, "light")
    yield
    for widget in qapp.topLevelWidgets():
        widget.close()
        widget.deleteLater()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def until(qapp: QApplication) -> Until:
    """`until(condition)`: let Qt work until the condition holds; fails after `seconds`."""

    def wait(condition: Callable[[], Any], seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            qapp.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
            time.sleep(0.001)

    return wait


@pytest.fixture
def open_window(qapp: QApplication, scripted: Any, until: Until, tmp_path: Path) -> Iterator[Callable[..., Limner]]:
    """`open_window(*outputs, t2i=…, language=…, theme=…)` → the app, its models awake."""
    opened: list[Limner] = []

    def make(
        *outputs: str, language: str = "en", mode: str = "light", factory: Any = None, awake: bool = True, **models: Any
    ) -> Limner:
        home = tmp_path / "home"
        settings = SettingsModel(home)
        settings.language, settings.theme = language, mode
        settings.deleteLater()
        limner = Limner(qapp, factory or (lambda: scripted(*outputs, **models)), home)
        limner.show()
        opened.append(limner)
        until(lambda: limner.studio is not None)
        limner.window.activateWindow()
        until(limner.window.isActiveWindow)
        if awake:
            until(lambda: limner.studio and limner.studio.session and limner.panels.title_bar.note.text() == "")
        return limner

    yield make
    for limner in opened:
        limner.window.close()


@pytest.fixture
def say(until: Until) -> Callable[..., None]:
    """`say(limner, text)`: type, press Enter, wait for the turn to end."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    def speak(limner: Limner, text: str, wait: bool = True) -> None:
        session, edit = limner.studio.session, limner.panels.composer.edit
        before = {t.id: t.state for t in session.branch}
        QTest.keyClicks(edit, text)
        QTest.keyClick(edit, Qt.Key.Key_Return)
        if wait:
            until(lambda: any(t.id not in before and t.state != "pending" for t in session.branch))
            until(lambda: not limner.studio.busy)

    return speak
