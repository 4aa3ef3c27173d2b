"""The main window's frame. It shows at once, bare, saying what it waits for; the panels move in after its first paint.

What is imported here counts against the time to a shown window, so it knows the settings, the colours and one label.
"""

from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QCloseEvent, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QLabel, QMainWindow, QWidget

from desktop.state.settings import SettingsModel
from desktop.ui.words import tr

if TYPE_CHECKING:
    from desktop.ui.panels import Panels

FIRST_SIZE = (1280, 800)
SMALLEST = (900, 560)


class MainWindow(QMainWindow):
    """`closing` is emitted once, before it goes."""

    closing = Signal()
    painted = Signal()
    """Once, when the bare window has been on screen."""

    def __init__(self, settings: SettingsModel) -> None:
        super().__init__()
        self.settings = settings
        self.panels: Panels | None = None
        self._closed = self._painted = False
        self.setWindowTitle("Limner")
        self.setMinimumSize(*SMALLEST)
        self.resize(*FIRST_SIZE)
        geometry = settings.layout("window")
        if not geometry.isEmpty():
            self.restoreGeometry(geometry)
        self.waiting = QLabel(tr("Waking the director…"), self)
        self.setCentralWidget(_centred(self.waiting))

    def move_in(self) -> "Panels":
        """Build the panels, in place of the bare window."""
        from desktop.ui.panels import Panels

        self.panels = Panels(self.settings, self)
        self.panels.title_bar.show_note(self.waiting.text())
        self.setCentralWidget(self.panels)
        return self.panels

    def paintEvent(self, event: QPaintEvent) -> None:
        """The first one is what `painted` waits for."""
        super().paintEvent(event)
        if not self._painted:
            self._painted = True
            QTimer.singleShot(0, self.painted.emit)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Remember the layout and let go."""
        if not self._closed:
            self._closed = True
            self.settings.set_layout("window", self.saveGeometry())
            if self.panels:
                self.panels.remember()
            self.hide()
            self.closing.emit()
        super().closeEvent(event)


def _centred(widget: QWidget) -> QWidget:
    """In the middle, by stretch alone (naming an alignment would load `Qt`, see `theme.wanted_at_start`)."""
    whole = QWidget()
    grid = QGridLayout(whole)
    grid.addWidget(widget, 1, 1)
    for side in (0, 2):
        grid.setRowStretch(side, 1)
        grid.setColumnStretch(side, 1)
    return whole
