"""The conversation: turns from top to bottom, messages that wait, or three things to try where nothing was said yet.

Knows the order of its turns; what each of them shows is `TurnView`'s. Imported before the window shows, so everything
that needs the engine's types is imported when the first turn arrives.
"""

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QPushButton, QScrollArea, QVBoxLayout, QWidget

from desktop.ui.parts import label
from desktop.ui.words import Spoken, tr

if TYPE_CHECKING:
    from desktop.state.jobs import Job
    from desktop.state.live import LiveTurn
    from desktop.store.records import TurnRecord
    from desktop.ui.images import Images
    from desktop.ui.turn_view import TurnView, WaitingView

FIRST_SHOWN = 4
"""Turns laid out at once when a session opens; earlier ones follow in the idle moments after it."""
PER_MOMENT = 1
NEAR_END = 48
EDGE = 12


class Empty(Spoken, QWidget):
    """What to do where nothing has been said yet: three things to try."""

    tried = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        self.heading = label("", "heading", wrap=True)
        self.lead = label("", "muted", wrap=True)
        self.buttons = [QPushButton() for _ in range(3)]
        self.private = label("", "muted", wrap=True)
        column.addStretch(2)
        column.addWidget(self.heading)
        column.addWidget(self.lead)
        column.addSpacing(8)
        for button in self.buttons:
            button.setProperty("role", "try")
            button.setCursor(Qt.CursorShape.PointingHandCursor)
            button.clicked.connect(lambda _=False, b=button: self.tried.emit(b.text()))
            column.addWidget(button)
        column.addSpacing(8)
        column.addWidget(self.private)
        column.addStretch(3)
        self.retranslate()

    def retranslate(self) -> None:
        self.heading.setText(tr("What shall appear?"))
        self.lead.setText(tr("Say it in your own words, then say what should change. Or begin with one of these:"))
        fox, owl = tr("Draw a red fox in the snow"), tr("Draw an owl in a forest, cartoon")
        eat = tr("What does a fox eat?")
        for button, text in zip(self.buttons, (fox, owl, eat), strict=True):
            button.setText(text)
            button.setAccessibleName(tr("Try: {text}").format(text=text))
        self.private.setText(tr("Everything stays on this machine."))


class Chat(Spoken, QScrollArea):
    """Scrolls along while it stands at the end; stays where it is when the artist has scrolled back."""

    tried = Signal(str)
    turn_made = Signal(object)  # TurnView: to be connected
    taken_back = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._views: dict[str, TurnView] = {}
        self._waiting: list[WaitingView] = []
        self._earlier: list[TurnRecord] = []
        self._images: Images | None = None
        self._follow = True
        self._page = QWidget()
        self._page.setObjectName("page")
        self._column = QVBoxLayout(self._page)
        self._column.setContentsMargins(EDGE, 16, EDGE, 16)
        self._column.setSpacing(24)
        self.empty = Empty()
        self.empty.tried.connect(self.tried)
        self._column.addWidget(self.empty, 1)
        self._column.addStretch(0)
        self.setWidget(self._page)
        self._idle = QTimer(self, interval=0)
        self._idle.timeout.connect(self._add_earlier)
        self.verticalScrollBar().rangeChanged.connect(self._range_changed)
        self.verticalScrollBar().valueChanged.connect(self._scrolled)
        self.retranslate()

    def show_images(self, images: "Images") -> None:
        """Where pictures come from."""
        self._images = images

    # ------------------------------------------------------------ turns
    def show_branch(self, turns: "list[TurnRecord]") -> None:
        """The branch from root to head. What is on screen already stays; only the difference is built."""
        self._idle.stop()
        wanted = {t.id for t in turns}
        for gone in [i for i in self._views if i not in wanted]:
            view = self._views.pop(gone)
            view.hide()
            view.deleteLater()
        fresh = [t for t in turns if t.id not in self._views]
        if len(fresh) > FIRST_SHOWN and not self._views:
            self._earlier, fresh = fresh[:-FIRST_SHOWN], fresh[-FIRST_SHOWN:]
            self._idle.start()
        else:
            self._earlier = []
        for turn in fresh:
            self._column.insertWidget(self._column.count() - 1 - len(self._waiting), self._make(turn))
        self._follow = True
        self._show_empty()

    def _make(self, turn: "TurnRecord") -> "TurnView":
        from desktop.ui.turn_view import TurnView

        assert self._images
        view = TurnView(turn, self._images)
        self._views[turn.id] = view
        self.turn_made.emit(view)
        return view

    def _add_earlier(self) -> None:
        """A few older turns per idle moment, above; what the artist looks at does not move."""
        bar = self.verticalScrollBar()
        below = bar.maximum() - bar.value()
        for _ in range(min(PER_MOMENT, len(self._earlier))):
            self._column.insertWidget(1, self._make(self._earlier.pop()))
        if not self._earlier:
            self._idle.stop()
        self._column.activate()
        if not self._follow:
            bar.setValue(bar.maximum() - below)

    def view(self, turn_id: str) -> "TurnView | None":
        """The view of a turn, if it is on screen."""
        return self._views.get(turn_id)

    @property
    def views(self) -> "list[TurnView]":
        """Views from top to bottom."""
        return sorted(self._views.values(), key=lambda v: self._column.indexOf(v))

    def show_live(self, turn_id: str, live: "LiveTurn", said: str) -> None:
        """The running turn moved on."""
        view = self._views.get(turn_id)
        if view:
            view.show_live(live, said)

    def show_chosen(self, number: int | None) -> None:
        """Which picture is on the canvas."""
        for view in self._views.values():
            view.show_chosen(number)

    # ------------------------------------------------------------ waiting
    def show_waiting(self, jobs: "list[Job]") -> None:
        """Messages that wait for their turn, at the end."""
        if [w.job_id for w in self._waiting] == [j.id for j in jobs]:
            return
        from desktop.ui.turn_view import WaitingView

        assert self._images
        for old in self._waiting:
            old.hide()
            old.deleteLater()
        self._waiting = []
        for job in jobs:
            view = WaitingView(job.id, job.text, tuple(str(p) for p in job.images), self._images)
            view.taken_back.connect(self.taken_back)
            self._column.insertWidget(self._column.count() - 1, view)
            self._waiting.append(view)
        self._follow = True
        self._show_empty()

    def _show_empty(self) -> None:
        empty = not self._views and not self._waiting
        self.empty.setVisible(empty)
        self._column.setStretch(0, 1 if empty else 0)
        self._column.setStretch(self._column.count() - 1, 0 if empty else 1)

    # ------------------------------------------------------------ scrolling
    def _range_changed(self, _least: int, most: int) -> None:
        if self._follow:
            self.verticalScrollBar().setValue(most)

    def _scrolled(self, value: int) -> None:
        self._follow = value >= self.verticalScrollBar().maximum() - NEAR_END

    def scroll_to(self, turn_id: str) -> None:
        """Bring a turn into sight."""
        view = self._views.get(turn_id)
        if view:
            self.ensureWidgetVisible(view, 0, NEAR_END)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The page is never wider than the view."""
        super().resizeEvent(event)
        self._page.setMaximumWidth(self.viewport().width())
        bar = self.verticalScrollBar()
        beside = bar.sizeHint().width() if self.viewport().width() < self.width() else 0
        self._column.setContentsMargins(EDGE, 16, EDGE - beside, 16)

    def retranslate(self) -> None:
        self.setAccessibleName(tr("Conversation"))
