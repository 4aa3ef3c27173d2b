"""Two small windows: the list of keys, and the report of a mistake of ours. Neither blocks the main window."""

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from desktop.ui.parts import label, taken
from desktop.ui.words import Spoken, tr

WIDTH = 480


class KeysDialog(Spoken, QDialog):
    """Every key of the window."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(24, 24, 24, 24)
        self._grid.setHorizontalSpacing(32)
        self._grid.setVerticalSpacing(8)
        self.retranslate()

    def retranslate(self) -> None:
        self.setWindowTitle(tr("Keys"))
        for old in taken(self._grid):
            old.deleteLater()
        for row, (keys, text) in enumerate(_keys()):
            self._grid.addWidget(label(keys, "key"), row, 0)
            self._grid.addWidget(label(text), row, 1)


def _keys() -> tuple[tuple[str, str], ...]:
    return (
        ("Enter", tr("Send")),
        ("Shift+Enter", tr("New line")),
        ("Ctrl+Enter", tr("Send, from anywhere")),
        ("Esc", tr("Stop")),
        ("Ctrl+N", tr("New conversation")),
        ("Ctrl+B", tr("Show or hide the conversations")),
        ("Ctrl+L", tr("To the message field")),
        ("Ctrl+I", tr("Inspector")),
        ("F", tr("Words or picture")),
        ("S", tr("Keep the seed, or let it change")),
        ("1 – 9", tr("Picture by its number")),
        ("+   −   0", tr("Zoom in, zoom out, fit")),
        (tr("Space"), tr("Hold and drag to move the picture")),
        ("F2", tr("Rename a conversation in the list")),
        (tr("Delete"), tr("Delete a conversation in the list")),
        ("F1", tr("This list")),
    )


def show_bug(parent: QWidget, path: str, text: str) -> QDialog:
    """Say that Limner made a mistake, where the report lies, and that nothing is lost."""
    dialog = QDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle(tr("Limner made a mistake"))
    column = QVBoxLayout(dialog)
    column.setContentsMargins(24, 24, 24, 16)
    column.setSpacing(12)
    column.addWidget(label(tr("Limner made a mistake"), "lead"))
    column.addWidget(
        label(tr("Your words and pictures are kept, and you can go on. Nothing was sent anywhere."), wrap=True)
    )
    if path:
        column.addWidget(label(tr("A report lies on this machine:"), "muted"))
        where = QLineEdit(path)
        where.setReadOnly(True)
        where.setCursorPosition(0)
        where.setAccessibleName(tr("Where the report lies"))
        column.addWidget(where)
    column.addStretch(1)
    column.addSpacing(8)
    column.addLayout(_buttons(dialog, path, text))
    dialog.resize(WIDTH, column.totalHeightForWidth(WIDTH))
    dialog.show()
    close = dialog.findChildren(QPushButton)[-1]
    close.setFocus()
    return dialog


def _buttons(dialog: QDialog, path: str, text: str) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(8)
    copy, show, close = QPushButton(tr("Copy the report")), QPushButton(tr("Show the report")), QPushButton(tr("Go on"))
    copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(text))
    show.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(path)))
    close.clicked.connect(dialog.close)
    close.setDefault(True)
    row.addWidget(copy)
    row.addWidget(show)
    row.addStretch(1)
    row.addWidget(close)
    for button in (copy, show, close):
        button.setAccessibleName(button.text())
    show.setEnabled(bool(path))
    return row
