"""The column of conversations: new, rename, delete, switch. Knows records; knows neither the store nor the engine."""

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QPoint, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHBoxLayout, QListView, QMenu, QVBoxLayout, QWidget

from desktop.ui.parts import icon_button, label, say
from desktop.ui.words import Spoken, tr

if TYPE_CHECKING:
    from desktop.store.records import SessionRecord

ROW = QSize(0, 32)
Index = QModelIndex | QPersistentModelIndex


class Rows(QAbstractListModel):
    """Sessions as list items; the title is editable."""

    renamed = Signal(str, str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.records: list[SessionRecord] = []

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 (Qt's signature)
        """How many sessions."""
        return len(self.records)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Title, id, size."""
        record = self.records[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.ToolTipRole):
            return record.title or tr("Untitled")
        if role == Qt.ItemDataRole.EditRole:
            return record.title
        if role == Qt.ItemDataRole.UserRole:
            return record.id
        return ROW if role == Qt.ItemDataRole.SizeHintRole else None

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Selectable and editable."""
        return super().flags(index) | Qt.ItemFlag.ItemIsEditable

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """A new title was typed; it appears when the store has it."""
        record = self.records[index.row()]
        if str(value).strip() and str(value) != record.title:
            self.renamed.emit(record.id, str(value))
        return False

    def reset(self, records: "list[SessionRecord]") -> None:
        """The list as it is now; nothing happens if it is the same."""
        if [(r.id, r.title) for r in records] != [(r.id, r.title) for r in self.records]:
            self.beginResetModel()
            self.records = records
            self.endResetModel()


class SessionView(QListView):
    """The list itself; Delete removes, F2 and a double click rename."""

    delete_asked = Signal(str)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Delete removes the current row."""
        if event.key() == Qt.Key.Key_Delete and self.currentIndex().isValid():
            self.delete_asked.emit(self.currentIndex().data(Qt.ItemDataRole.UserRole))
        else:
            super().keyPressEvent(event)


class SessionList(Spoken, QFrame):
    """Emits what was asked for; shows what it is told."""

    new_asked = Signal()
    switch_asked = Signal(str)
    rename_asked = Signal(str, str)
    delete_asked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("session_list")
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(4)
        head = QHBoxLayout()
        head.setContentsMargins(8, 0, 0, 0)
        self.heading = label("", "section")
        self.new = icon_button("plus")
        head.addWidget(self.heading)
        head.addStretch(1)
        head.addWidget(self.new)
        column.addLayout(head)
        self.view = SessionView()
        self.rows = Rows(self)
        self._set_up(self.view)
        column.addWidget(self.view)
        self._quiet = False
        self.new.clicked.connect(self.new_asked)
        self.rows.renamed.connect(self.rename_asked)
        self.retranslate()

    def _set_up(self, view: SessionView) -> None:
        view.setObjectName("sessions")
        view.setModel(self.rows)
        view.setUniformItemSizes(True)
        view.setLayoutMode(QListView.LayoutMode.Batched)
        view.setFrameShape(QFrame.Shape.NoFrame)
        view.setTextElideMode(Qt.TextElideMode.ElideRight)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        triggers = QAbstractItemView.EditTrigger
        view.setEditTriggers(triggers.DoubleClicked | triggers.EditKeyPressed)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._menu)
        view.selectionModel().currentChanged.connect(self._current)
        view.delete_asked.connect(self.delete_asked)

    def show_sessions(self, records: "list[SessionRecord]", current: str | None) -> None:
        """The list, newest first, and which one is on screen."""
        self._quiet = True
        self.rows.reset(records)
        row = next((i for i, r in enumerate(self.rows.records) if r.id == current), None)
        if row is None:
            self.view.clearSelection()
            self.view.setCurrentIndex(QModelIndex())
        else:
            self.view.setCurrentIndex(self.rows.index(row))
        self._quiet = False

    def edit(self, session_id: str) -> None:
        """Let the artist type another title."""
        row = next((i for i, r in enumerate(self.rows.records) if r.id == session_id), None)
        if row is not None:
            self.view.setFocus()
            self.view.edit(self.rows.index(row))

    def _current(self, index: QModelIndex) -> None:
        if index.isValid() and not self._quiet:
            self.switch_asked.emit(index.data(Qt.ItemDataRole.UserRole))

    def _menu(self, at: QPoint) -> None:
        index = self.view.indexAt(at)
        if not index.isValid():
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(tr("Rename")).triggered.connect(lambda: self.view.edit(index))
        session_id = index.data(Qt.ItemDataRole.UserRole)
        menu.addAction(tr("Delete")).triggered.connect(lambda: self.delete_asked.emit(session_id))
        menu.popup(self.view.viewport().mapToGlobal(at))

    def retranslate(self) -> None:
        self.heading.setText(tr("Conversations"))
        self.view.setAccessibleName(tr("Conversations"))
        say(self.new, tr("New conversation"), "Ctrl+N")
