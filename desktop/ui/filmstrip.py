"""The session's pictures in a row, numbered. Knows records and thumbnails; knows neither the session nor the engine."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QFrame, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from desktop.ui import theme
from desktop.ui.words import Spoken, tr

if TYPE_CHECKING:
    from desktop.store.records import PictureRecord
    from desktop.ui.images import Images

THUMB = 64
CELL = QSize(THUMB + 12, THUMB + 12)
HEIGHT = CELL.height() + 16

Index = QModelIndex | QPersistentModelIndex


class Strip(QAbstractListModel):
    """Pictures as list items."""

    def __init__(self, parent: "Filmstrip") -> None:
        super().__init__(parent)
        self.records: list[PictureRecord] = []

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 (Qt's signature)
        """How many pictures."""
        return len(self.records)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Number, prompt, record."""
        record = self.records[index.row()]
        if role == Qt.ItemDataRole.UserRole:
            return record
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return tr("Picture {number}").format(number=record.number) + ": " + record.spec.prompt
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{record.number} · {record.spec.prompt}"
        return None

    def reset(self, records: "Sequence[PictureRecord]") -> None:
        """Another session."""
        self.beginResetModel()
        self.records = list(records)
        self.endResetModel()

    def add(self, record: "PictureRecord") -> None:
        """A new picture at the end; nothing else moves."""
        at = len(self.records)
        self.beginInsertRows(QModelIndex(), at, at)
        self.records.append(record)
        self.endInsertRows()


class Thumbnail(QStyledItemDelegate):
    """Draws one picture and its number."""

    def __init__(self, parent: "Filmstrip") -> None:
        super().__init__(parent)
        self.images: Images | None = None

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """All the same."""
        return CELL

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Cropped to a square, rounded; the chosen one with an outline."""
        record = index.data(Qt.ItemDataRole.UserRole)
        cell: QRect = option.rect  # type: ignore[attr-defined]
        area = QRectF(QRect(QPoint(0, 0), QSize(THUMB, THUMB)))
        area.moveCenter(QRectF(cell).center())
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        clip = QPainterPath()
        clip.addRoundedRect(area, theme.size("radius"), theme.size("radius"))
        painter.setClipPath(clip)
        painter.fillRect(area, theme.color("canvas"))
        pixmap = self.images.get(record.path, THUMB * 2) if self.images else None
        if pixmap and not pixmap.isNull():
            side = min(pixmap.width(), pixmap.height())
            source = QRectF((pixmap.width() - side) / 2, (pixmap.height() - side) / 2, side, side)
            painter.drawPixmap(area, pixmap, source)
        painter.setClipping(False)
        self._number(painter, area, str(record.number))
        state = option.state  # type: ignore[attr-defined]
        if state & QStyle.StateFlag.State_Selected:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(theme.color("accent"), 2))
            painter.drawRoundedRect(area.adjusted(-2, -2, 2, 2), theme.size("radius") + 2, theme.size("radius") + 2)
        painter.restore()

    def _number(self, painter: QPainter, area: QRectF, number: str) -> None:
        font = painter.font()
        font.setPixelSize(theme.size("small"))
        painter.setFont(font)
        width = painter.fontMetrics().horizontalAdvance(number) + 8
        tag = QRectF(area.left() + 4, area.bottom() - 20, max(width, 16), 16)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("surface"))
        painter.drawRoundedRect(tag, 4, 4)
        painter.setPen(theme.color("text"))
        painter.drawText(tag, Qt.AlignmentFlag.AlignCenter, number)


class Filmstrip(Spoken, QListView):
    """Emits the picture that is chosen with mouse or keyboard."""

    chosen = Signal(int)
    picture_menu = Signal(int, QPoint)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("filmstrip")
        self.strip = Strip(self)
        self._delegate = Thumbnail(self)
        self.setModel(self.strip)
        self.setItemDelegate(self._delegate)
        self.setFlow(QListView.Flow.LeftToRight)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setUniformItemSizes(True)
        self.setLayoutMode(QListView.LayoutMode.Batched)
        self.setSpacing(0)
        self.setViewportMargins(8, 0, 8, 0)
        self.setFixedHeight(HEIGHT)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._menu)
        self.selectionModel().currentChanged.connect(self._current)
        self._quiet = False
        self.hide()
        self.retranslate()

    def show_images(self, images: "Images") -> None:
        """Where thumbnails come from."""
        self._delegate.images = images
        images.ready.connect(lambda *_: self.viewport().update())

    def show_pictures(self, records: "Sequence[PictureRecord]") -> None:
        """Another session's pictures."""
        self.strip.reset(records)
        self.setVisible(bool(records))

    def add_picture(self, record: "PictureRecord") -> None:
        """A new one at the end."""
        self.strip.add(record)
        self.show()

    def show_chosen(self, number: int | None) -> None:
        """Mark one, without telling anyone."""
        self._quiet = True
        row = next((i for i, r in enumerate(self.strip.records) if r.number == number), None)
        if row is None:
            self.clearSelection()
        else:
            self.setCurrentIndex(self.strip.index(row))
            self.scrollTo(self.strip.index(row))
        self._quiet = False

    def _current(self, index: QModelIndex) -> None:
        if index.isValid() and not self._quiet:
            self.chosen.emit(self.strip.records[index.row()].number)

    def _menu(self, at: QPoint) -> None:
        index = self.indexAt(at)
        if index.isValid():
            self.picture_menu.emit(self.strip.records[index.row()].number, self.viewport().mapToGlobal(at))

    def retranslate(self) -> None:
        self.setAccessibleName(tr("Pictures of this conversation"))
