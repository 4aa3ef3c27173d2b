"""A message's words: streamed in as they come, set as markdown once at the end. Loads nothing from anywhere."""

from PySide6.QtCore import QByteArray, QSize, Qt, QUrl
from PySide6.QtGui import QGuiApplication, QImage, QResizeEvent, QTextCursor, QTextDocument, QTextOption
from PySide6.QtWidgets import QFrame, QSizePolicy, QTextBrowser

FOLD = 4_000
"""Longer messages of the artist are shown folded: laying out a megabyte would hold up the window."""

_MARKDOWN = QTextDocument.MarkdownFeature.MarkdownDialectGitHub | QTextDocument.MarkdownFeature.MarkdownNoHTML


class TextBlock(QTextBrowser):
    """As tall as its words. Selectable with mouse and keyboard."""

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.anchorClicked.connect(lambda url: QGuiApplication.clipboard().setText(url.toString()))
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setTabChangesFocus(True)
        self.document().setDocumentMargin(0)
        self.viewport().setAutoFillBackground(False)
        self.document().documentLayout().documentSizeChanged.connect(self._grow)

    def loadResource(self, kind: int, name: QUrl | str) -> object:
        """Pictures and style sheets named in the text are never loaded.

        What is returned must not be null (Qt 6.12 takes an empty string for null, and then reads local files itself).
        """
        return _nothing() if kind == QTextDocument.ResourceType.ImageResource.value else QByteArray(b" ")

    def wheelEvent(self, event: object) -> None:
        """Scrolling belongs to the chat."""
        event.ignore()  # type: ignore[attr-defined]

    def show_plain(self, text: str) -> None:
        """Words exactly as written."""
        self.setPlainText(text)

    def stream(self, text: str) -> None:
        """Append words at the end."""
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(text)

    def show_markdown(self, text: str) -> None:
        """The finished words, as markdown without HTML."""
        self.document().setMarkdown(text, _MARKDOWN)
        self.document().setDocumentMargin(0)

    def ideal_width(self, most: int) -> int:
        """The width its words would like, at most `most`."""
        self.document().setTextWidth(most)
        return min(most, int(self.document().idealWidth()) + 2)

    def sizeHint(self) -> QSize:
        """As tall as its words."""
        return QSize(200, self.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Wrap anew."""
        super().resizeEvent(event)
        self._grow()

    def _grow(self) -> None:
        self.document().setTextWidth(self.viewport().width())
        height = max(int(self.document().size().height() + 0.999), self.fontMetrics().height())
        if height != self.height():
            self.setFixedHeight(height)


def _nothing() -> QImage:
    image = QImage(1, 1, QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.transparent)
    return image
