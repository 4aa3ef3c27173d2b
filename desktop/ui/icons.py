"""Our icons: one SVG each, painted in a colour of the theme. Knows the theme; knows no widget."""

from functools import cache

from PySide6.QtCore import QByteArray, QEvent, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QIconEngine, QImage, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from desktop.ui import theme
from resources import resource

THEME_EVENTS = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)
"""What a widget receives when the theme changes."""


class _Engine(QIconEngine):
    """Paints one SVG of ours in a theme colour, sharp at any size."""

    def __init__(self, name: str, paint: str) -> None:
        super().__init__()
        self._name, self._paint = name, paint

    def clone(self) -> QIconEngine:
        return _Engine(self._name, self._paint)

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        name = "edge" if mode == QIcon.Mode.Disabled else self._paint
        if name == "text" and state == QIcon.State.On:
            name = "on_select"
        ratio = painter.device().devicePixelRatioF()
        painter.drawImage(rect, glyph(self._name, name, rect.width(), ratio))

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        if size.isEmpty():
            return QPixmap()
        pixmap = QPixmap(size)
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
    return _render(name, theme.color(paint).name(), round(side * ratio))


@cache
def _render(name: str, colour: str, pixels: int) -> QImage:
    svg = resource("icons", name + ".svg").read_text(encoding="utf-8").replace("currentColor", colour)
    image = QImage(pixels, pixels, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(0, 0, pixels, pixels))
    painter.end()
    return image
