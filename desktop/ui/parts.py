"""Small building blocks used all over the window: labels, buttons, the line that says something and goes away.

Knows the theme and translations; knows neither state nor engine.
"""

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QFontMetrics, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLayout, QPushButton, QSizePolicy, QToolButton, QWidget

from desktop.ui import icons

SELECTABLE = Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
ICON = 20


def label(text: str = "", role: str = "", *, wrap: bool = False, selectable: bool = False) -> QLabel:
    """A plain-text label; `role` picks its look in the style sheet."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setProperty("role", role)
    made.setWordWrap(wrap)
    if selectable:
        made.setTextInteractionFlags(SELECTABLE)
        made.setCursor(Qt.CursorShape.IBeamCursor)
    return made


def icon_button(icon: str, *, role: str = "", checkable: bool = False, paint: str = "text") -> QToolButton:
    """A button that is only an icon; give it words with `say`."""
    made = QToolButton()
    made.setIcon(icons.icon(icon, paint))
    made.setIconSize(QSize(ICON, ICON))
    made.setProperty("role", role)
    made.setCheckable(checkable)
    made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return made


def say(widget: QWidget, name: str, keys: str = "") -> None:
    """The widget's accessible name and its tooltip, with its shortcut if it has one."""
    widget.setAccessibleName(name)
    widget.setToolTip(f"{name}  ({keys})" if keys else name)


def taken(layout: QLayout) -> list[QWidget]:
    """Take every widget out of a layout; they still live, without a place."""
    found = []
    while item := layout.takeAt(0):
        if widget := item.widget():
            found.append(widget)
    return found


class Elided(QLabel):
    """One line that ends in … when there is no room; the whole text is its tooltip."""

    def __init__(self, text: str = "", role: str = "") -> None:
        super().__init__()
        self._whole = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("role", role)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        self.setMinimumWidth(24)
        self.set_whole(text)

    def set_whole(self, text: str) -> None:
        """Show this text, as much of it as fits."""
        self._whole = " ".join(text.split())
        self.setToolTip(self._whole)
        self.setAccessibleName(self._whole)
        self.updateGeometry()
        self._fit()

    def sizeHint(self) -> QSize:
        """Room for the whole text."""
        return QSize(QFontMetrics(self.font()).horizontalAdvance(self._whole) + 4, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """Any width will do."""
        return QSize(24, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Cut again."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        shown = QFontMetrics(self.font()).elidedText(self._whole, Qt.TextElideMode.ElideRight, max(self.width(), 24))
        if shown != self.text():
            self.setText(shown)


class Fault(QFrame):
    """One sentence where something went wrong, and the next step as a button."""

    def __init__(self, sentence: str, button: str = "", act: Callable[[], None] | None = None) -> None:
        super().__init__()
        self.setObjectName("fault")
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 8, 8, 8)
        row.setSpacing(8)
        mark = QLabel()
        mark.setPixmap(icons.icon("alert", "error").pixmap(ICON, ICON))
        row.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
        self.sentence = label(sentence, "error", wrap=True, selectable=True)
        self.sentence.setAccessibleName(sentence)
        row.addWidget(self.sentence, 1)
        self.button = QPushButton(button)
        self.button.setAccessibleName(button)
        if act:
            self.button.clicked.connect(lambda: act())
        row.addWidget(self.button, 0, Qt.AlignmentFlag.AlignTop)
        self.button.setVisible(bool(button))


class Toast(QFrame):
    """A line at the foot of the window that goes away by itself, with at most one button."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("toast")
        self._row = row = QHBoxLayout(self)
        row.setSpacing(12)
        self.words = label()
        self.button = QPushButton()
        row.addWidget(self.words)
        row.addWidget(self.button)
        self._act: Callable[[], None] | None = None
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self.hide)
        self.button.clicked.connect(self._clicked)
        self.hide()

    def show_words(self, text: str, button: str = "", act: Callable[[], None] | None = None, ms: int = 4000) -> None:
        """Show a line; with a button it stays twice as long."""
        self._act = act
        self.words.setText(text)
        self.words.setAccessibleName(text)
        self.button.setText(button)
        self.button.setAccessibleName(button)
        self.button.setVisible(bool(button))
        self._row.setContentsMargins(16, 8, 8 if button else 16, 8)
        self.place()
        self.show()
        self.raise_()
        self._timer.start(ms * 2 if button else ms)

    def place(self) -> None:
        """Centre at the foot of the parent."""
        self.adjustSize()
        parent = self.parentWidget()
        assert parent
        self.move((parent.width() - self.width()) // 2, parent.height() - self.height() - 24)

    def _clicked(self) -> None:
        self.hide()
        if self._act:
            self._act()
