"""Light and dark: colours and sizes from `resources/theme`, as a palette and one style sheet. Knows no widget."""

import json
from functools import cache
from string import Template

from PySide6.QtCore import QByteArray, QEvent, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QGuiApplication,
    QIcon,
    QIconEngine,
    QImage,
    QPainter,
    QPalette,
    QPixmap,
)
from PySide6.QtWidgets import QApplication

from resources import resource

_shown = "light"

_ROLES = {
    QPalette.ColorRole.Window: "window",
    QPalette.ColorRole.WindowText: "text",
    QPalette.ColorRole.Base: "surface",
    QPalette.ColorRole.AlternateBase: "hover",
    QPalette.ColorRole.Text: "text",
    QPalette.ColorRole.PlaceholderText: "muted",
    QPalette.ColorRole.Button: "surface",
    QPalette.ColorRole.ButtonText: "text",
    QPalette.ColorRole.BrightText: "error",
    QPalette.ColorRole.Highlight: "select",
    QPalette.ColorRole.HighlightedText: "on_select",
    QPalette.ColorRole.Link: "accent",
    QPalette.ColorRole.LinkVisited: "accent",
    QPalette.ColorRole.ToolTipBase: "text",
    QPalette.ColorRole.ToolTipText: "window",
    QPalette.ColorRole.Mid: "line",
    QPalette.ColorRole.Accent: "accent",
}


@cache
def tokens() -> dict[str, dict[str, str]]:
    """The theme file: "size", "light" and "dark"."""
    loaded: dict[str, dict[str, str]] = json.loads(resource("theme", "tokens.json").read_text(encoding="utf-8"))
    return loaded


def color(name: str) -> QColor:
    """A colour of the theme shown now."""
    return QColor(tokens()[_shown][name])


def size(name: str) -> int:
    """A size in logical pixels."""
    return int(tokens()["size"][name])


def shown() -> str:
    """ "light" or "dark"."""
    return _shown


def wanted(setting: str) -> str:
    """What a setting ("system", "light", "dark") means on this machine now."""
    if setting != "system":
        return setting
    dark = QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
    return "dark" if dark else "light"


def apply(app: QApplication, mode: str) -> None:
    """Show "light" or "dark": palette, style sheet, and every icon (they ask for their colour when painted)."""
    global _shown
    _shown = mode
    app.setPalette(_palette(mode))
    app.setStyleSheet(_style_sheet(mode))


def _palette(mode: str) -> QPalette:
    colors, palette = tokens()[mode], QPalette()
    for role, name in _ROLES.items():
        palette.setColor(role, QColor(colors[name]))
    for role in (QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText, QPalette.ColorRole.WindowText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(colors["edge"]))
    return palette


@cache
def _style_sheet(mode: str) -> str:
    template = Template(resource("theme", "window.qss").read_text(encoding="utf-8"))
    return template.substitute(tokens()[mode] | {k: str(v) for k, v in tokens()["size"].items()})


# ---------------------------------------------------------------- icons
class _Engine(QIconEngine):
    """Paints one SVG of ours in a theme colour, sharp at any size."""

    def __init__(self, name: str, paint: str) -> None:
        super().__init__()
        self._name, self._paint = name, paint

    def clone(self) -> QIconEngine:
        return _Engine(self._name, self._paint)

    def paint(self, painter: QPainter, rect: object, mode: QIcon.Mode, state: QIcon.State) -> None:
        name = "edge" if mode == QIcon.Mode.Disabled else self._paint
        if name == "text" and state == QIcon.State.On:
            name = "on_select"
        painter.drawImage(rect, glyph(self._name, name, rect.width(), painter.device().devicePixelRatioF()))  # type: ignore[attr-defined,call-overload]

    def pixmap(self, size: object, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        pixmap = QPixmap(size)  # type: ignore[call-overload]
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        self.paint(painter, pixmap.rect(), mode, state)
        painter.end()
        return pixmap


def icon(name: str, paint: str = "text") -> QIcon:
    """One of our icons, in a colour of the theme; it follows the theme by itself."""
    return QIcon(_Engine(name, paint))


def glyph(name: str, paint: str, side: int, ratio: float = 1.0) -> QImage:
    """An icon as an image of `side` logical pixels."""
    return _render(name, color(paint).name(), round(side * ratio))


@cache
def _render(name: str, colour: str, pixels: int) -> QImage:
    from PySide6.QtSvg import QSvgRenderer

    svg = resource("icons", name + ".svg").read_text(encoding="utf-8").replace("currentColor", colour)
    image = QImage(pixels, pixels, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(0, 0, pixels, pixels))
    painter.end()
    return image


THEME_EVENTS = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)
"""What a widget receives when the theme changes."""
