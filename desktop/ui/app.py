"""Starts the window. Shows it first; everything that needs the engine is imported and opened after it is on screen.

What is imported here counts against the time to a shown window: Qt, the settings and a bare window, nothing else.
"""

import shutil
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QApplication

from desktop import places
from desktop.state.qt_fixes import keep_singletons_alive
from desktop.state.settings import SettingsModel
from desktop.ui import theme
from desktop.ui.main_window import MainWindow
from desktop.ui.words import Language

if TYPE_CHECKING:
    from desktop.engine import Engine
    from desktop.state.studio import Studio
    from desktop.ui.panels import Panels
    from desktop.ui.wiring import Wiring

UNSEEN_MS = 500
"""A window that is not painted (minimised, on another desktop) gets its panels after this."""


class Limner(QObject):
    """The running application: window now, studio as soon as its modules are there."""

    ready = Signal()
    """The studio is wired to the window and the engine is being opened."""
    _panels_imported = Signal(object)
    _all_imported = Signal(object)

    def __init__(self, app: QApplication, factory: Callable[[], "Engine"], home: Path) -> None:
        super().__init__(app)
        self.app = app
        self.settings = SettingsModel(home, self)
        self.studio: Studio | None = None
        self.wiring: Wiring | None = None
        self._factory = factory
        self._language = Language(app)
        self._language.speak(self.settings.spoken)
        self._mode = theme.wanted_at_start(self.settings.theme)
        theme.apply_palette(app, self._mode)
        self.window = MainWindow(self.settings)
        self.window.closing.connect(self.close)
        self.panels: Panels | None = None
        self._importing = False

    def show(self) -> None:
        """The bare window first, its panels after its first paint, the engine after that."""
        self.window.painted.connect(self._import)
        self.window.show()
        QTimer.singleShot(UNSEEN_MS, self._import)

    def _import(self) -> None:
        """In a thread: a tenth of a second of imports must not hold up the window."""
        if self._importing:
            return
        self._importing = True
        keep_singletons_alive()
        self._panels_imported.connect(self._move_in)  # emitted in another thread: Qt queues them
        self._all_imported.connect(self._wire)
        threading.Thread(target=self._import_all, name="imports", daemon=True).start()

    def _import_all(self) -> None:
        try:
            from desktop.ui import panels

            self._panels_imported.emit(panels)
            from desktop.state import studio
            from desktop.ui import inspector, wiring

            assert inspector
        except Exception as error:  # raised again in the GUI thread, where the report dialog is
            self._all_imported.emit(error)
            return
        self._all_imported.emit((studio.Studio, wiring.Wiring))

    def _move_in(self) -> None:
        self.app.setStyle("Fusion")
        theme.apply(self.app, self._mode)
        self.panels = self.window.move_in()
        bar = self.panels.title_bar
        bar.theme_asked.connect(lambda name: setattr(self.settings, "theme", name))
        bar.language_asked.connect(lambda name: setattr(self.settings, "language", name))
        self.settings.changed.connect(self._setting_changed)
        self.app.styleHints().colorSchemeChanged.connect(lambda _: self._setting_changed("theme"))
        self.panels.composer.edit.setFocus()

    def _wire(self, found: Any) -> None:
        from desktop.state.bugs import BugReports

        bugs = BugReports(self.settings.home / "reports", self)
        bugs.install()
        if isinstance(found, Exception):
            raise found
        assert self.panels
        make_studio, make_wiring = found
        shutil.rmtree(self.settings.home / "pasted", ignore_errors=True)  # the library has its own copies
        self.studio = make_studio(self._factory, self.settings, bugs, self)
        self.wiring = make_wiring(self.panels, self.studio)
        self.panels.composer.show_text(self.studio.drafts.typed("") or self.panels.composer.text)
        self.studio.start()
        self.ready.emit()

    def _setting_changed(self, name: str) -> None:
        if name == "theme":
            theme.apply(self.app, theme.wanted(self.settings.theme))
        if name == "language":
            self._language.speak(self.settings.spoken)
        assert self.panels
        self.panels.title_bar.show_choices(self.settings.theme, self.settings.language)

    def close(self) -> None:
        """Let the engine go; the window is already hidden."""
        if self.studio:
            self.studio.close()
        if self.wiring:
            self.wiring.images.wait()
        self.app.quit()


def run(engine_factory: Callable[[], Any], argv: Sequence[str], home: Path | None = None) -> int:
    """Show the window and stay until it is closed. Returns the exit code.

    `--window-exit-when-shown` and `--window-exit-when-warm` are for `limner bench`.
    """
    app = cast(QApplication, QApplication.instance() or QApplication([argv[0]]))
    app.setApplicationName("Limner")
    app.setDesktopFileName("limner")
    limner = Limner(app, engine_factory, home or places.home())
    limner.show()
    if "--window-exit-when-shown" in argv:
        QTimer.singleShot(0, lambda: (print("shown", flush=True), app.quit()))
    if "--window-exit-when-warm" in argv:
        from desktop.ui.probe import exit_when_warm

        exit_when_warm(limner)
    ticks = _obey_ctrl_c(limner.window)
    code = app.exec()
    ticks.stop()
    return code


def _obey_ctrl_c(window: MainWindow) -> QTimer:
    """Ctrl-C in the terminal closes the window; Python only sees the signal when it gets to run now and then."""
    signal.signal(signal.SIGINT, lambda *_: window.close())
    ticks = QTimer(window, interval=500)
    ticks.timeout.connect(lambda: None)
    ticks.start()
    return ticks


if __name__ == "__main__":
    sys.exit("Start Limner with “limner”, or “python -m desktop”.")
