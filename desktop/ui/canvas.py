"""The canvas: one picture, zoomed to the cursor, panned by dragging; while painting, the picture growing in place.

Knows pixmaps and progress; knows neither sessions nor files.
"""

from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPixmap, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QFrame, QGraphicsPixmapItem, QGraphicsScene, QGraphicsView, QHBoxLayout, QLabel, QWidget

from desktop.ui import icons, theme
from desktop.ui.parts import icon_button, say
from desktop.ui.words import Spoken, tr

ZOOM_STEP = 1.25
ZOOM_MIN, ZOOM_MAX = 0.05, 32.0
FIT_MAX = 8.0
"""A small picture is not blown up further than this by itself."""
MARGIN = 24
FOOT = 52
"""Room for the zoom bar and the progress, so that they never lie on a fitted picture."""


class Canvas(Spoken, QGraphicsView):
    """Shows a picture (`show_picture`) or a preview (`show_preview`) of the same final size."""

    picture_menu = Signal(QPoint)
    dropped = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("canvas")
        self._scene = QGraphicsScene(self)
        self.setScene(self._scene)
        self._item = QGraphicsPixmapItem()
        self._item.setTransformationMode(Qt.TransformationMode.SmoothTransformation)
        self._scene.addItem(self._item)
        self._fitted = True
        self._space = False
        self._size = QSize()
        self.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.AnchorUnderMouse)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._menu)
        self.setMinimumSize(240, 160)
        self.bar = CanvasBar(self)
        self.progress = Progress(self)
        self.retranslate()

    # ------------------------------------------------------------ what is shown
    def show_picture(self, pixmap: QPixmap) -> None:
        """A finished picture, or an empty pixmap for none."""
        self.progress.hide()
        self._show(pixmap, pixmap.size())

    def show_preview(self, pixmap: QPixmap, size: QSize, progress: float, words: str) -> None:
        """A picture of `size` that is still being painted; an empty pixmap shows its frame alone."""
        if not pixmap.isNull() or self._size != size or not self.progress.isVisible():
            self._show(pixmap, size)
        self.progress.show_progress(progress, words)
        self._place()

    @property
    def pixmap(self) -> QPixmap:
        """What is shown now."""
        return self._item.pixmap()

    @property
    def zoom(self) -> float:
        """Screen pixels (logical) per picture pixel."""
        return self.transform().m11()

    def _show(self, pixmap: QPixmap, size: QSize) -> None:
        self._item.setPixmap(pixmap)
        if not pixmap.isNull():
            self._item.setScale(size.width() / pixmap.width())
        if size != self._size:
            self._size = QSize(size)
            pad = max(size.width(), size.height())  # room to pan beyond the edge
            self._scene.setSceneRect(QRectF(-pad, -pad, size.width() + 2 * pad, size.height() + 2 * pad))
            self._fitted = True
        if self._fitted:
            self.fit()
        self.bar.setVisible(not size.isEmpty())
        self.viewport().update()

    # ------------------------------------------------------------ zoom
    def fit(self) -> None:
        """The whole picture, as large as there is room."""
        self._fitted = True
        if self._size.isEmpty():
            return
        room_w, room_h = self.viewport().width() - 2 * MARGIN, self.viewport().height() - MARGIN - FOOT
        scale = min(room_w / self._size.width(), room_h / self._size.height(), FIT_MAX)
        self._zoom_to(max(scale, ZOOM_MIN))
        lower = (FOOT - MARGIN) / 2 / self.zoom
        self.centerOn(self._size.width() / 2, self._size.height() / 2 + lower)

    def actual_size(self) -> None:
        """One picture pixel on one screen pixel."""
        self._fitted = False
        self._zoom_to(1 / self.devicePixelRatioF())

    def zoom_by(self, factor: float) -> None:
        """Zoom in or out, around the cursor if it is over the canvas."""
        self._fitted = False
        self._zoom_to(min(max(self.zoom * factor, ZOOM_MIN), ZOOM_MAX))

    def _zoom_to(self, scale: float) -> None:
        self.scale(scale / self.zoom, scale / self.zoom)
        self.bar.show_zoom(self.zoom * self.devicePixelRatioF())

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom to the cursor."""
        turned = event.angleDelta().y()
        if turned and not self._size.isEmpty():
            self.zoom_by(ZOOM_STEP ** (turned / 120))
        event.accept()

    # ------------------------------------------------------------ pan
    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Drag with the left or middle button."""
        if event.button() == Qt.MouseButton.MiddleButton:
            event = _as_left(event)
        self.setDragMode(QGraphicsView.DragMode.ScrollHandDrag)
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End of a drag."""
        super().mouseReleaseEvent(event if event.button() == Qt.MouseButton.LeftButton else _as_left(event))
        if not self._space:
            self.setDragMode(QGraphicsView.DragMode.NoDrag)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Between fit and 100%."""
        if self._fitted:
            self.actual_size()
        else:
            self.fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space pans; + - 0 1 zoom; the arrows move."""
        key = event.key()
        acts = {
            Qt.Key.Key_Plus: lambda: self.zoom_by(ZOOM_STEP),
            Qt.Key.Key_Equal: lambda: self.zoom_by(ZOOM_STEP),
            Qt.Key.Key_Minus: lambda: self.zoom_by(1 / ZOOM_STEP),
            Qt.Key.Key_0: self.fit,
        }
        if key == Qt.Key.Key_Space:
            self._space = True
            self.setDragMode(QGraphicsView.DragMode.ScrollHandDrag)
        elif key in acts:
            acts[Qt.Key(key)]()
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Space is up again."""
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self._space = False
            self.setDragMode(QGraphicsView.DragMode.NoDrag)
        super().keyReleaseEvent(event)

    # ------------------------------------------------------------ the rest
    def _menu(self, at: QPoint) -> None:
        if not self._item.pixmap().isNull():
            self.picture_menu.emit(self.viewport().mapToGlobal(at))

    def drawBackground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        """The ground, and the frame of a picture that has no pixels yet."""
        painter.fillRect(rect, theme.color("canvas"))
        if not self._size.isEmpty():
            painter.fillRect(QRectF(0, 0, self._size.width(), self._size.height()), theme.color("hover"))

    def paintEvent(self, event: QPaintEvent) -> None:
        """With nothing to show, say where pictures will appear."""
        super().paintEvent(event)
        if not self._size.isEmpty():
            return
        painter = QPainter(self.viewport())
        middle = self.viewport().rect().center()
        painter.drawImage(middle - QPoint(16, 40), icons.glyph("picture", "edge", 32, self.devicePixelRatioF()))
        painter.setPen(theme.color("muted"))
        area = self.viewport().rect().adjusted(MARGIN, 24, -MARGIN, 24)
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, tr("Pictures appear here."))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep fitting, and keep the bars in their places."""
        super().resizeEvent(event)
        if self._fitted:
            self.fit()
        self._place()

    def _place(self) -> None:
        self.bar.adjustSize()
        self.bar.move(self.width() - self.bar.width() - 12, self.height() - self.bar.height() - 8)
        self.progress.setFixedWidth(max(160, min(360, self.width() - self.bar.width() - 48)))
        self.progress.adjustSize()
        self.progress.move(12, self.height() - self.progress.height() - 8)

    def changeEvent(self, event: QEvent) -> None:
        """A new language or theme."""
        super().changeEvent(event)
        if event.type() in icons.THEME_EVENTS:
            self.viewport().update()

    def retranslate(self) -> None:
        """The canvas's own words."""
        self.setAccessibleName(tr("Canvas"))
        self.viewport().setAccessibleName(tr("Canvas"))
        self.setAccessibleDescription(tr("Wheel zooms, dragging moves, double click switches between fit and 100%."))
        self.viewport().update()


def _as_left(event: QMouseEvent) -> QMouseEvent:
    left = Qt.MouseButton.LeftButton
    return QMouseEvent(event.type(), event.position(), event.globalPosition(), left, left, event.modifiers())


class CanvasBar(Spoken, QFrame):
    """Zoom out, per cent, zoom in, fit."""

    def __init__(self, canvas: Canvas) -> None:
        super().__init__(canvas)
        self.setObjectName("canvas_bar")
        row = QHBoxLayout(self)
        row.setContentsMargins(3, 3, 3, 3)
        row.setSpacing(0)
        self.out = icon_button("zoom_out")
        self.full = icon_button("fit")
        self.full.setIcon(icons.icon("fit"))
        self.into = icon_button("zoom_in")
        self.percent = icon_button("fit", role="text")
        self.percent.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.percent.setMinimumWidth(52)
        for widget in (self.out, self.percent, self.into, self.full):
            widget.setIconSize(QSize(16, 16))
            row.addWidget(widget)
        self.out.clicked.connect(lambda: canvas.zoom_by(1 / ZOOM_STEP))
        self.into.clicked.connect(lambda: canvas.zoom_by(ZOOM_STEP))
        self.percent.clicked.connect(canvas.actual_size)
        self.full.clicked.connect(canvas.fit)
        self.hide()
        self.retranslate()

    def show_zoom(self, zoom: float) -> None:
        """Per cent of the picture's own pixels."""
        self.percent.setText(f"{zoom * 100:.0f}%")

    def retranslate(self) -> None:
        """Names of the buttons."""
        say(self.out, tr("Zoom out"), "−")
        say(self.into, tr("Zoom in"), "+")
        say(self.percent, tr("Actual size"))
        say(self.full, tr("Fit"), "0")


class Progress(QFrame):
    """A thin bar and a line of words under it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._done = 0.0
        self.setObjectName("progress_note")
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 2, 4, 8)
        self.words = QLabel()
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        row.addWidget(self.words)
        self.hide()

    def show_progress(self, done: float, words: str) -> None:
        """`done` is 0..1."""
        self._done = done
        self.words.setText(words)
        self.setAccessibleName(words)
        self.show()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The words' frame, and the bar along its foot."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        track = QRectF(12, self.height() - 9, self.width() - 24, 3)
        painter.setBrush(theme.color("line"))
        painter.drawRoundedRect(track, 1.5, 1.5)
        painter.setBrush(theme.color("accent"))
        track.setWidth(track.width() * self._done)
        painter.drawRoundedRect(track, 1.5, 1.5)
