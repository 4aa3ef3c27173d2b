"""The bar on top: the session's title, the two models with their dots, theme, language, keys. Knows no state object."""

from PySide6.QtCore import QPointF, QRectF, QSize, Signal
from PySide6.QtGui import QAction, QActionGroup, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QToolButton, QWidget

from desktop.ui import icons, theme
from desktop.ui.parts import Elided, icon_button, label, say
from desktop.ui.words import Spoken, tr

HEIGHT = 44


class Dot(QWidget):
    """A model's state as a shape and a colour: ring = asleep or ready, half = loading, full = busy, cross = problem."""

    def __init__(self) -> None:
        super().__init__()
        self.state = "asleep"
        self.setFixedSize(QSize(12, 12))

    def show_state(self, state: str) -> None:
        """ "asleep" | "loading" | "ready" | "busy" | "problem"."""
        self.state = state
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the shape."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        name = {"asleep": "edge", "problem": "error"}.get(self.state, "accent")
        painter.setPen(QPen(theme.color(name), 1.5))
        ring = QRectF(2, 2, 8, 8)
        if self.state == "problem":
            painter.drawLine(QPointF(2.5, 2.5), QPointF(9.5, 9.5))
            painter.drawLine(QPointF(9.5, 2.5), QPointF(2.5, 9.5))
            return
        if self.state == "busy":
            painter.setBrush(theme.color(name))
        painter.drawEllipse(ring)
        painter.setBrush(theme.color(name))
        if self.state == "loading":
            painter.drawPie(ring, 90 * 16, 180 * 16)
        elif self.state == "ready":
            painter.drawEllipse(QRectF(4.5, 4.5, 3, 3))


class ModelMark(Spoken, QWidget):
    """One model: its dot and its name."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind, self._name, self._state = kind, "", "asleep"
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 0, 4, 0)
        row.setSpacing(4)
        self.dot = Dot()
        self.words = label("", "muted")
        row.addWidget(self.dot)
        row.addWidget(self.words)
        self.retranslate()

    def show_model(self, name: str, state: str) -> None:
        """Name as the registry knows it, state as `Dot` knows it."""
        self._name, self._state = name, state
        self.dot.show_state(state)
        self.retranslate()

    def retranslate(self) -> None:
        chair = tr("Director") if self._kind == "mllm" else tr("Painter")
        states = {
            "asleep": tr("asleep"),
            "loading": tr("loading"),
            "ready": tr("ready"),
            "busy": tr("busy"),
            "problem": tr("cannot be loaded"),
        }
        self.words.setText(self._name.removeprefix("limner-") or chair)
        say(self, f"{chair} {self._name}: {states[self._state]}".replace("  ", " "))


class TitleBar(Spoken, QFrame):
    """Emits what was asked for; shows what it is told."""

    panel_toggled = Signal(bool)
    theme_asked = Signal(str)
    language_asked = Signal(str)
    keys_asked = Signal()
    rename_asked = Signal()
    delete_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("title_bar")
        self.setFixedHeight(HEIGHT)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 0, 8, 0)
        row.setSpacing(4)
        self.panel = icon_button("sidebar", checkable=True)
        self.panel.setObjectName("panel")
        self.title = Elided()
        self.title.setObjectName("session_title")
        self.more = _menu_button("down")
        self.more.hide()
        self._more = QMenu(self.more)
        self.more.setMenu(self._more)
        self._rename = self._more.addAction(icons.icon("rename"), "")
        self._delete = self._more.addAction(icons.icon("trash"), "")
        self._rename.triggered.connect(self.rename_asked)
        self._delete.triggered.connect(self.delete_asked)
        self.note = label("", "muted")
        self.marks = {"mllm": ModelMark("mllm"), "t2i": ModelMark("t2i")}
        self.theme = _menu_button("theme")
        self.language = _menu_button("language")
        self.keys = icon_button("keys")
        row.addWidget(self.panel)
        row.addSpacing(4)
        row.addWidget(self.title)
        row.addWidget(self.more)
        row.addStretch(1)
        for widget in (self.note, *self.marks.values(), self.theme, self.language, self.keys):
            row.addWidget(widget)
        self.panel.toggled.connect(self.panel_toggled)
        self.keys.clicked.connect(self.keys_asked)
        self._themes = _choices(self.theme, ("system", "light", "dark"), self.theme_asked)
        self._languages = _choices(self.language, ("system", "en", "zh"), self.language_asked)
        self.retranslate()

    def show_choices(self, theme_: str, language: str) -> None:
        """Tick what is set."""
        self._themes[theme_].setChecked(True)
        self._languages[language].setChecked(True)

    def show_note(self, text: str) -> None:
        """What the window waits for, if anything."""
        self.note.setText(text)

    def retranslate(self) -> None:
        """All words of the bar."""
        say(self.panel, tr("Conversations"), "Ctrl+B")
        say(self.more, tr("Rename or delete this conversation"))
        self._rename.setText(tr("Rename"))
        self._delete.setText(tr("Delete"))
        say(self.theme, tr("Light or dark"))
        say(self.language, tr("Language"))
        say(self.keys, tr("Keys"), "F1")
        for name, text in (
            ("system", tr("Like the system")), ("light", tr("Light")), ("dark", tr("Dark")),
        ):  # fmt: skip
            self._themes[name].setText(text)
        for name, text in (("system", tr("Like the system")), ("en", "English"), ("zh", "中文")):
            self._languages[name].setText(text)


def _menu_button(icon: str) -> QToolButton:
    button = icon_button(icon)
    button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    return button


def _choices(button: QToolButton, names: tuple[str, ...], asked: object) -> dict[str, QAction]:
    menu, group, actions = QMenu(button), QActionGroup(button), {}
    for name in names:
        action = QAction(name, menu, checkable=True)
        action.triggered.connect(lambda _=False, n=name: asked.emit(n))  # type: ignore[attr-defined]
        group.addAction(action)
        menu.addAction(action)
        actions[name] = action
    button.setMenu(menu)
    return actions
