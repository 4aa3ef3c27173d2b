"""A picture in the chat: its frame takes the final size at once, the preview sharpens inside it, then the file.

Knows one picture or one slot of a running turn; knows neither the session nor the engine.
"""

from PySide6.QtCore import QPoint, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen, QPixmap
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from desktop.state.live import LiveSlot
from desktop.store.records import PictureRecord
from desktop.ui import theme
from desktop.ui.images import Images
from desktop.ui.parts import icon_button, label, say
from desktop.ui.words import Spoken, tr

SIDE_LEAST, SIDE_MOST = 256, 288
"""Logical pixels of the longer side in the chat."""


class Frame(QWidget):
    """The pixels, rounded at the corners; a thin bar along the foot while painting."""

    clicked = Signal()
    menu_asked = Signal(QPoint)

    def __init__(self) -> None:
        super().__init__()
        self.pixmap = QPixmap()
        self.progress: float | None = None
        self.words = ""
        self._chosen = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def show_pixmap(self, pixmap: QPixmap) -> None:
        """What stands in the frame."""
        self.pixmap = pixmap
        self.update()

    def show_progress(self, progress: float | None, words: str = "") -> None:
        """0..1 while painting, None when done; `words` stand in an empty frame."""
        self.progress, self.words = progress, words
        self.update()

    def show_chosen(self, chosen: bool) -> None:
        """Whether it is the one on the canvas."""
        if chosen != self._chosen:
            self._chosen = chosen
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Pixels, bar, outline."""
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        area = QRectF(self.rect()).adjusted(2, 2, -2, -2)
        clip = QPainterPath()
        clip.addRoundedRect(area, theme.size("radius"), theme.size("radius"))
        painter.setClipPath(clip)
        painter.fillRect(area, theme.color("canvas"))
        if not self.pixmap.isNull():
            painter.drawPixmap(area, self.pixmap, QRectF(self.pixmap.rect()))
        elif self.words:
            painter.setPen(theme.color("muted"))
            painter.drawText(area.adjusted(12, 12, -12, -12), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap,
                             self.words)  # fmt: skip
        if self.progress is not None:
            painter.fillRect(QRectF(area.left(), area.bottom() - 4, area.width(), 4), theme.color("line"))
            done = QRectF(area.left(), area.bottom() - 4, area.width() * self.progress, 4)
            painter.fillRect(done, theme.color("accent"))
        painter.setClipping(False)
        self._outline(painter, area)

    def _outline(self, painter: QPainter, area: QRectF) -> None:
        if not (self._chosen or self.hasFocus()):
            return
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(theme.color("accent"), 2))
        painter.drawRoundedRect(area.adjusted(-1, -1, 1, 1), theme.size("radius") + 1, theme.size("radius") + 1)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose it."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.clicked.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter or space choose it, too."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.clicked.emit()
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """The same menu as everywhere."""
        self.menu_asked.emit(event.globalPos())


class PictureView(Spoken, QWidget):
    """Frame and caption: number, seed, inspector button."""

    chosen = Signal(int)  # number, 0 while painting
    inspected = Signal(int)
    menu_asked = Signal(int, QPoint)

    def __init__(self, images: Images, size: QSize) -> None:
        super().__init__()
        self._images = images
        self._size = size
        self._record: PictureRecord | None = None
        self._slot: LiveSlot | None = None
        self._note = ""
        self._room = SIDE_MOST
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.frame = Frame()
        column.addWidget(self.frame, 0, Qt.AlignmentFlag.AlignLeft)
        self._caption = row = QHBoxLayout()
        row.setContentsMargins(4, 2, 0, 0)
        row.setSpacing(8)
        self.number = label(selectable=True)
        self.seed = label("", "muted", selectable=True)
        self.inspect = icon_button("inspect", paint="muted")
        row.addWidget(self.number)
        row.addWidget(self.seed)
        row.addStretch(1)
        row.addWidget(self.inspect)
        column.addLayout(row)
        self.frame.clicked.connect(lambda: self.chosen.emit(self.shown()))
        self.inspect.clicked.connect(lambda: self.inspected.emit(self.shown()))
        self.frame.menu_asked.connect(lambda at: self._record and self.menu_asked.emit(self.shown(), at))
        images.ready.connect(self._image_ready)
        self.fit(SIDE_MOST)

    def shown(self) -> int:
        """The picture's number, 0 while it is being painted."""
        return self._record.number if self._record else 0

    # ------------------------------------------------------------ what is shown
    def show_record(self, record: PictureRecord) -> None:
        """A picture that is on disk. The last preview stays until the file is read."""
        self._record, self._slot = record, None
        self._load()
        self.retranslate()

    def show_slot(self, slot: LiveSlot, preview: QPixmap, words: str) -> None:
        """A picture that is being painted."""
        self._slot, self._note = slot, words
        if not preview.isNull():
            self.frame.show_pixmap(preview)
        self.frame.show_progress(slot.progress(), words)
        self.retranslate()

    def show_chosen(self, number: int | None) -> None:
        """Which picture is on the canvas."""
        self.frame.show_chosen(bool(number) and number == self.shown())

    def fit(self, width: int) -> None:
        """Take the final size for the width there is."""
        longest = max(self._size.width(), self._size.height())
        side = min(max(longest, SIDE_LEAST), SIDE_MOST)
        scaled = self._size.scaled(min(side, width - 4), side, Qt.AspectRatioMode.KeepAspectRatio)
        self.frame.setFixedSize(scaled + QSize(4, 4))
        self._room = width
        self._widen()

    def _widen(self) -> None:
        """A narrow picture leaves room for its caption."""
        caption = self._caption.sizeHint().width()
        self.setFixedWidth(max(self.frame.width(), min(caption, self._room)))

    def _load(self) -> None:
        assert self._record
        pixmap = self._images.get(self._record.path, SIDE_MOST * 2)
        if pixmap is None:
            return
        self.frame.show_progress(None, tr("This picture's file is missing or damaged.") if pixmap.isNull() else "")
        self.frame.show_pixmap(pixmap)

    def _image_ready(self, path: str, side: int) -> None:
        if self._record and self._record.path == path and side == SIDE_MOST * 2:
            self._load()

    def retranslate(self) -> None:
        """Caption and names."""
        spec = self._record.spec if self._record else self._slot.spec if self._slot else None
        if spec is None:
            return
        if self._record:
            name = tr("Picture {number}").format(number=self._record.number)
        else:
            name = self._note or tr("Painting…")
        self.number.setText(name)
        self.seed.setText(tr("seed {seed}").format(seed=spec.seed))
        self.seed.setVisible(self._record is not None)
        self.frame.setAccessibleName(f"{name}: {spec.prompt}")
        self._widen()
        self.frame.setToolTip("" if self._record is None else spec.prompt)
        say(self.inspect, tr("How this picture came about"))
