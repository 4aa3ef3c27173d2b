"""Everything inside the window: lays the panels out and shows what it is told.

Knows its panels; what happens in them is wired to the state by `desktop.ui.wiring`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from desktop.state.settings import SettingsModel
from desktop.ui.canvas import Canvas
from desktop.ui.chat import Chat
from desktop.ui.composer import Composer
from desktop.ui.filmstrip import Filmstrip
from desktop.ui.parts import Fault, Toast
from desktop.ui.seed_bar import SeedBar
from desktop.ui.session_list import SessionList
from desktop.ui.title_bar import TitleBar
from desktop.ui.words import Spoken, tr

if TYPE_CHECKING:
    from desktop.ui.inspector import Inspector

LIST_WIDTH, CHAT_WIDTH = 208, 400
INSPECTOR_HEIGHT = 320


class Panels(Spoken, QWidget):
    """Panels and their places."""

    def __init__(self, settings: SettingsModel, parent: QWidget) -> None:
        super().__init__(parent)
        self.resize(parent.size())
        self.settings = settings
        self._inspector: Inspector | None = None
        self._fault: Fault | None = None
        self.title_bar = TitleBar()
        self.sessions = SessionList()
        self.canvas = Canvas()
        self.filmstrip = Filmstrip()
        self.chat = Chat()
        self.composer = Composer(settings.home / "pasted")
        self.seed = SeedBar()
        self._lay_out()
        self.toast = Toast(self)
        self.retranslate()
        self._restore()

    def _lay_out(self) -> None:
        self.left = QSplitter(Qt.Orientation.Vertical)
        self.left.setChildrenCollapsible(False)
        self.left.addWidget(_column(self.canvas, self.filmstrip))
        self.left.setStretchFactor(0, 1)
        self.middle = QSplitter(Qt.Orientation.Horizontal)
        self.middle.setChildrenCollapsible(False)
        self.chat_column = self._chat_column()
        for panel in (self.sessions, self.left, self.chat_column):
            self.middle.addWidget(panel)
        self.middle.setStretchFactor(1, 1)
        self.sessions.setMinimumWidth(160)
        self.sessions.setMaximumWidth(360)
        self.chat_column.setMinimumWidth(336)
        self.left.setMinimumWidth(320)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.title_bar)
        whole.addWidget(self.middle, 1)

    def _chat_column(self) -> QWidget:
        column = QWidget()
        column.setObjectName("chat_column")
        column.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        rows = QVBoxLayout(column)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(0)
        rows.addWidget(self.chat, 1)
        self._faults = QVBoxLayout()
        self._faults.setContentsMargins(12, 0, 12, 0)
        rows.addLayout(self._faults)
        foot = QVBoxLayout()
        foot.setContentsMargins(12, 8, 12, 8)
        foot.setSpacing(4)
        foot.addWidget(self.composer)
        foot.addWidget(self.seed)
        rows.addLayout(foot)
        return column

    # ------------------------------------------------------------ remembering
    def _restore(self) -> None:
        columns = self.settings.layout("columns")
        if columns.isEmpty() or not self.middle.restoreState(columns):
            self.middle.setSizes([LIST_WIDTH, max(self.width() - LIST_WIDTH - CHAT_WIDTH, 320), CHAT_WIDTH])
        opened = self.settings.flag("session_list", True)
        self.sessions.setVisible(opened)
        self.title_bar.panel.setChecked(opened)
        self.title_bar.panel_toggled.connect(self._show_list)
        self.composer.segments.show_choice(self.settings.modality)
        self.title_bar.show_choices(self.settings.theme, self.settings.language)

    def _show_list(self, shown: bool) -> None:
        self.sessions.setVisible(shown)
        self.settings.set_flag("session_list", shown)

    def remember(self) -> None:
        """Keep the panels' sizes for the next start."""
        self.settings.set_layout("columns", self.middle.saveState())

    # ------------------------------------------------------------ inspector
    @property
    def inspector(self) -> "Inspector":
        """Built when it is first wanted."""
        if self._inspector is None:
            from desktop.ui.inspector import Inspector

            self._inspector = Inspector()
            self._inspector.hide()
            self.left.addWidget(self._inspector)
            self.left.setStretchFactor(1, 0)
        return self._inspector

    @property
    def inspector_shown(self) -> bool:
        """Whether it is pulled up."""
        return self._inspector is not None and self._inspector.isVisible()

    def show_inspector(self, shown: bool) -> None:
        """Pull it up or let it go."""
        if shown and not self.inspector_shown:
            inspector = self.inspector
            inspector.show()
            height = self.left.height()
            wanted = min(INSPECTOR_HEIGHT, height // 2)
            self.left.setSizes([height - wanted, wanted])
        elif not shown and self._inspector:
            self._inspector.hide()

    # ------------------------------------------------------------ saying things
    def show_fault(self, sentence: str, button: str = "", act: Callable[[], None] | None = None) -> None:
        """Something the whole window waits for went wrong; "" takes it away."""
        if self._fault:
            self._fault.hide()
            self._fault.deleteLater()
            self._fault = None
        if sentence:
            self._fault = Fault(sentence, button, act)
            self._faults.addWidget(self._fault)

    @property
    def fault(self) -> Fault | None:
        """What `show_fault` shows now."""
        return self._fault

    def shortcut(self, keys: str, act: Callable[[], object]) -> None:
        """A key that works anywhere in the window."""
        QShortcut(QKeySequence(keys), self).activated.connect(lambda: act())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the toast in its place."""
        super().resizeEvent(event)
        if self.toast.isVisible():
            self.toast.place()

    def show_title(self, title: str) -> None:
        """The session's title, "" for one that is not yet begun."""
        self.title_bar.more.setVisible(bool(title))
        self.title_bar.title.set_whole(title or tr("New conversation"))
        self.window().setWindowTitle(f"{title} – Limner" if title else "Limner")

    def retranslate(self) -> None:
        self.show_title("")
        self.sessions.setAccessibleName(tr("Conversations"))


def _column(canvas: QWidget, filmstrip: QWidget) -> QWidget:
    whole = QWidget()
    column = QVBoxLayout(whole)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    column.addWidget(canvas, 1)
    column.addWidget(filmstrip)
    return whole
