"""`limner screenshots FOLDER`: the project's own pictures of its window, made with the real engine and starter models.

One conversation in English and one in Chinese, each seen in light and in dark. Knows the window from outside, as an
artist does: it types, presses Enter and waits.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import QEventLoop
from PySide6.QtWidgets import QApplication

from desktop.state.settings import SettingsModel
from desktop.ui.app import Limner
from models.contracts import KnownError

if TYPE_CHECKING:
    from desktop.engine import Engine

SAID = {
    "en": ("Draw a red fox in the snow", "now at night", "what does a fox eat?"),
    "zh": ("画一只雪地里的红狐狸", "现在换成夜晚", "狐狸吃什么？"),
}
SEED = 4711
SIZE = (1280, 800)
PATIENCE_S = 300.0


class Sitting:
    """One window with one conversation; `shoot` keeps what it looks like."""

    def __init__(self, limner: Limner, folder: Path, language: str) -> None:
        self.limner, self._folder, self._language = limner, folder, language

    def until(self, happened: Callable[[], object]) -> None:
        """Let the window live until something has happened. Raises KnownError if it never does."""
        end = time.monotonic() + PATIENCE_S
        while not happened():
            if time.monotonic() > end or (self.limner.panels and self.limner.panels.fault):
                raise KnownError("The window did not get to work; “limner doctor” may say why.")
            self.limner.app.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 50)
            time.sleep(0.005)

    def settle(self) -> None:
        """Until pictures are read and everything is painted."""
        assert self.limner.wiring
        self.limner.wiring.images.wait()
        end = time.monotonic() + 0.4
        self.until(lambda: time.monotonic() > end)

    def shoot(self, name: str) -> None:
        """The window in light and in dark."""
        for mode in ("light", "dark"):
            self.limner.settings.theme = mode
            self.settle()
            self.limner.window.grab().save(str(self._folder / f"{name}-{self._language}-{mode}.png"))

    def say(self, text: str) -> None:
        """Type it, send it, wait for the answer."""
        panels, studio = self.limner.panels, self.limner.studio
        assert panels and studio and studio.session
        session, count = studio.session, len(studio.session.branch)
        panels.composer.show_text(text)
        panels.composer.submit()
        self.until(lambda: len(session.branch) > count and not session.live and not studio.busy)
        if session.branch[-1].error:
            raise KnownError(session.branch[-1].error)


@contextmanager
def sitting(folder: Path, language: str) -> Iterator[Sitting]:
    """A window with a home of its own, awake."""
    app = cast(QApplication, QApplication.instance() or QApplication(["limner"]))
    app.setQuitOnLastWindowClosed(False)
    with tempfile.TemporaryDirectory() as home:
        settings = SettingsModel(Path(home))
        settings.language, settings.theme = language, "light"
        settings.deleteLater()
        limner = Limner(app, lambda: _open_engine(Path(home)), Path(home))
        limner.window.resize(*SIZE)
        limner.show()
        one = Sitting(limner, folder, language)
        try:
            one.until(lambda: limner.studio and limner.studio.session)
            one.until(lambda: set(limner.studio.chairs.states.values()) == {"ready"})  # type: ignore[union-attr]
            yield one
        finally:
            limner.window.close()


def _open_engine(home: Path) -> "Engine":
    from desktop.engine import Engine

    return Engine.open(home)


def take(folder: Path, language: str) -> None:
    """Every view in one language."""
    with sitting(folder, language) as one:
        wiring, studio, panels = one.limner.wiring, one.limner.studio, one.limner.panels
        assert wiring and studio and studio.session and panels
        one.shoot("empty")
        studio.session.set_seed(SEED)
        for text in SAID[language]:
            one.say(text)
        one.settle()
        one.shoot("conversation")
        drawn = [p.number for p in studio.session.pictures]
        if drawn:
            wiring.choose_picture(drawn[-1])
        wiring.toggle_inspector()
        one.shoot("inspector")


def main(argv: Sequence[str]) -> int:
    """Write the screenshots of every language into the folder argv[0]. Returns 0; raises KnownError."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and sys.platform.startswith("linux"):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    folder = Path(argv[0])
    folder.mkdir(parents=True, exist_ok=True)
    for language in SAID:
        take(folder, language)
    for file in sorted(folder.glob("*.png")):
        print(file)
    return 0
