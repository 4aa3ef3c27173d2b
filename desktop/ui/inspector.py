"""The inspector: reads downward like the turn itself, every value selectable. Knows lines and sections, not models."""

import html

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontDatabase, QGuiApplication, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from desktop.store.records import PictureRecord, TurnRecord
from desktop.ui import theme
from desktop.ui.inspector_rows import DECISION, Line, Probability, Prompt, Section, Value, sections
from desktop.ui.parts import icon_button, label, say
from desktop.ui.text_block import TextBlock
from desktop.ui.words import Spoken, tr

HEADING_WIDTH = 124
NAME_WIDTH = 112
SHORT = 40
"""Characters up to which a value is a plain label."""


class ProbabilityBar(QWidget):
    """0..1 as a bar, with a mark where the decision turns."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self._p = p
        self.setFixedSize(QSize(160, 16))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Track, bar, mark."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        track = QRectF(0, 5, self.width(), 6)
        painter.setBrush(theme.color("line"))
        painter.drawRoundedRect(track, 3, 3)
        painter.setBrush(theme.color("accent"))
        painter.drawRoundedRect(QRectF(0, 5, self.width() * self._p, 6), 3, 3)
        painter.setPen(QPen(theme.color("text"), 1.5))
        at = self.width() * DECISION
        painter.drawLine(int(at), 1, int(at), 15)


class Inspector(Spoken, QFrame):
    """Shows a turn; emits nothing but that it wants to be closed."""

    close_asked = Signal()
    copied = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("inspector")
        self._turn: TurnRecord | None = None
        self._picture: PictureRecord | None = None
        self._number = 0
        self.sections: list[Section] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(self._head())
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column.addWidget(self._scroll)
        self.setMinimumHeight(140)
        self.retranslate()

    def _head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(16, 4, 8, 4)
        self.title = label("", "lead")
        self.copy = icon_button("copy", paint="muted")
        self.close_button = icon_button("down", paint="muted")
        row.addWidget(self.title)
        row.addStretch(1)
        row.addWidget(self.copy)
        row.addWidget(self.close_button)
        self.copy.clicked.connect(self._copy)
        self.close_button.clicked.connect(self.close_asked)
        return row

    def show_turn(self, turn: TurnRecord | None, picture: PictureRecord | None, number: int) -> None:
        """The chosen turn, its chosen picture, and its place in the branch (from 1)."""
        if (turn, picture, number) == (self._turn, self._picture, self._number):
            return
        moved = turn is None or self._turn is None or turn.id != self._turn.id
        self._turn, self._picture, self._number = turn, picture, number
        at = 0 if moved else self._scroll.verticalScrollBar().value()
        self.retranslate()
        self._scroll.verticalScrollBar().setValue(at)

    def retranslate(self) -> None:
        say(self.copy, tr("Copy all of it"))
        say(self.close_button, tr("Close the inspector"), "Ctrl+I")
        self.setAccessibleName(tr("Inspector"))
        self._scroll.setAccessibleName(tr("Inspector"))
        if self._turn is None:
            self.title.setText(tr("How it came about"))
            self.sections = []
            hint = tr("Say something, and every step from your words to the picture stands here.")
            self._scroll.setWidget(self._page([], hint))
            return
        self.title.setText(tr("How turn {number} came about").format(number=self._number))
        self.sections = sections(self._turn, self._picture)
        self._scroll.setWidget(self._page(self.sections))

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText("\n\n".join(s.text() for s in self.sections))
        self.copied.emit()

    # ------------------------------------------------------------ building
    def _page(self, found: list[Section], instead: str = "") -> QWidget:
        page = QWidget()
        page.setObjectName("page")
        grid = QGridLayout(page)
        grid.setContentsMargins(16, 4, 16, 16)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(12)
        grid.setColumnMinimumWidth(0, HEADING_WIDTH)
        grid.setColumnStretch(1, 1)
        for row, section in enumerate(found):
            heading = label(section.heading, "section", wrap=True)
            heading.setFixedWidth(HEADING_WIDTH)
            heading.setContentsMargins(0, 2, 0, 0)  # its smaller letters on the line of the values
            grid.addWidget(heading, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addLayout(_lines(section), row, 1)
        if instead:
            grid.addWidget(label(instead, "muted", wrap=True), 0, 0, 1, 2)
        grid.setRowStretch(len(found) + 1, 1)
        return page


def _lines(section: Section) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(0)
    grid.setVerticalSpacing(4)
    grid.setColumnMinimumWidth(0, NAME_WIDTH + 12)
    grid.setColumnStretch(1, 1)
    for row, line in enumerate(section.lines):
        name = getattr(line, "name", "")
        if name:
            key = label(name, "key", wrap=True)
            key.setFixedWidth(NAME_WIDTH)
            grid.addWidget(key, row, 0, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(_widget(line, section.heading), row, 1)
    return grid


def _widget(line: Line, heading: str) -> QWidget:
    if isinstance(line, Probability):
        return _probability(line)
    made = _block(line) if isinstance(line, Prompt) or line.kind == "code" or len(line.text) > SHORT else _short(line)
    made.setAccessibleName(f"{heading}, {getattr(line, 'name', '')}".rstrip(", "))
    made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return made


def _short(line: Value) -> QWidget:
    return label(line.text, "muted" if line.kind == "muted" else "", wrap=True, selectable=True)


def _block(line: Value | Prompt) -> QWidget:
    """Text that may be long or have no spaces: wraps anywhere, copies exactly."""
    made = TextBlock()
    if isinstance(line, Prompt):
        struck = f' <s style="color:{theme.color("struck").name()}">{html.escape(line.dropped)}</s>'
        made.setHtml(html.escape(line.kept) + (struck if line.dropped else ""))
        return made
    made.setProperty("role", line.kind)
    if line.kind == "code":
        made.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
    made.show_plain(line.text)
    return made


def _probability(line: Probability) -> QWidget:
    whole = QWidget()
    row = QHBoxLayout(whole)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(12)
    row.addWidget(ProbabilityBar(line.p))
    words = label(f"{line.p:.3f} · {line.verdict}", selectable=True)
    words.setAccessibleName(f"{line.name} {line.p:.3f}, {line.verdict}")
    row.addWidget(words)
    row.addStretch(1)
    return whole
