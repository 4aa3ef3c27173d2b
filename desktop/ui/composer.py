"""Where the artist writes: words, attached pictures, words-or-picture switch, send and stop.

Knows what is typed; knows neither sessions nor the engine. Nothing leaves it unless `sent` is emitted.
"""

from pathlib import Path

from PySide6.QtCore import QMimeData, QSize, Qt, Signal
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QFocusEvent,
    QImage,
    QImageReader,
    QKeyEvent,
    QKeySequence,
    QPixmap,
)
from PySide6.QtWidgets import (
    QButtonGroup,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from desktop.ui.parts import icon_button, say
from desktop.ui.words import Spoken, tr

TEXT_MAX = 32_000
"""Characters; more than any director reads at once."""
LINES_MIN, LINES_MAX = 2, 9
PICTURES_MAX = 4
THUMB = 48
PICTURE_FILES = ("*.png", "*.jpg", "*.jpeg", "*.webp", "*.bmp", "*.gif", "*.tif", "*.tiff")


class Composer(Spoken, QFrame):
    """Emits `sent(text, image paths, modality)`; the text stays on disk until its turn is in the store."""

    sent = Signal(str, tuple, str)
    stopped = Signal()
    typed = Signal(str)
    modality_chosen = Signal(str)
    refused = Signal(str)

    def __init__(self, paste_folder: Path) -> None:
        super().__init__()
        self.setObjectName("composer")
        self._folder = paste_folder
        self._busy = False
        self.edit = Editor(self)
        self.thumbs = Attachments()
        self.attach = icon_button("attach")
        self.segments = Segments()
        self.send = icon_button("send", role="primary", paint="on_accent")
        self.stop = icon_button("stop", role="primary", paint="on_accent")
        self._lay_out()
        self._connect()
        self.show_busy(False)
        self.retranslate()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(4)
        column.addWidget(self.thumbs)
        column.addWidget(self.edit)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.attach)
        row.addWidget(self.segments)
        row.addStretch(1)
        row.addWidget(self.stop)
        row.addWidget(self.send)
        column.addLayout(row)
        self.setAcceptDrops(True)

    def _connect(self) -> None:
        self.edit.entered.connect(self.submit)
        self.edit.textChanged.connect(self._changed)
        self.edit.focus_changed.connect(lambda on: _mark(self, "focused", on))
        self.edit.media_pasted.connect(self.take)
        self.attach.clicked.connect(self._choose_files)
        self.send.clicked.connect(self.submit)
        self.stop.clicked.connect(self.stopped)
        self.segments.chosen.connect(self.modality_chosen)
        self.thumbs.changed.connect(self._changed)

    # ------------------------------------------------------------ what it holds
    @property
    def text(self) -> str:
        """The words as typed."""
        return self.edit.toPlainText()

    def put_back(self, text: str, images: tuple[str, ...] = (), modality: str = "") -> None:
        """Words that could not be sent (or were taken back) stand in front of what was typed since."""
        self.edit.setPlainText("\n".join(filter(None, (text, self.text))))
        self.edit.moveCursor(self.edit.textCursor().MoveOperation.End)
        for path in images:
            self.thumbs.add(path)
        if modality:
            self.segments.show_choice(modality)

    def show_text(self, text: str) -> None:
        """What was typed in this session before."""
        if text != self.text:
            self.edit.setPlainText(text)
            self.edit.moveCursor(self.edit.textCursor().MoveOperation.End)

    def show_busy(self, busy: bool) -> None:
        """Whether there is something to stop. Sending stays possible: messages queue up."""
        self._busy = busy
        self.stop.setVisible(busy)
        self._changed()

    def submit(self) -> None:
        """Send what is there; empty or blank words without a picture are not a message."""
        text, images = self.text, self.thumbs.paths()
        if not text.strip() and not images:
            self.edit.setFocus()
            return
        self.edit.clear()
        self.thumbs.clear()
        self.sent.emit(text.strip(), images, self.segments.choice())

    def _changed(self) -> None:
        self.send.setEnabled(bool(self.text.strip() or self.thumbs.paths()))
        self.typed.emit(self.text)

    # ------------------------------------------------------------ pictures in
    def _choose_files(self) -> None:
        files, _ = QFileDialog.getOpenFileNames(
            self, tr("Attach pictures"), "", tr("Pictures") + f" ({' '.join(PICTURE_FILES)})"
        )
        for file in files:
            self.add_picture(file)

    def add_picture(self, path: str) -> None:
        """Attach a picture file; one that cannot be read is refused in a sentence."""
        if len(self.thumbs.paths()) >= PICTURES_MAX:
            self.refused.emit(tr("At most {count} pictures can go with one message.").format(count=PICTURES_MAX))
        elif not self.thumbs.add(path):
            sentence = tr("“{name}” is not a picture that Limner can read; use PNG, JPEG or WebP.")
            self.refused.emit(sentence.format(name=Path(path).name))
        self.edit.setFocus()

    def take(self, data: QMimeData) -> bool:
        """Pictures pasted or dropped. Returns whether there were any."""
        files = [u.toLocalFile() for u in data.urls() if u.isLocalFile()]
        for file in files:
            self.add_picture(file)
        if not files and data.hasImage():
            image = QImage(data.imageData())
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"pasted-{image.cacheKey():x}.png"
            if image.save(str(path)):
                self.add_picture(str(path))
                return True
        return bool(files)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Pictures may be dropped here."""
        if event.mimeData().hasUrls() or event.mimeData().hasImage():
            event.acceptProposedAction()
            _mark(self, "drop", True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Not here after all."""
        _mark(self, "drop", False)

    def dropEvent(self, event: QDropEvent) -> None:
        """Attach what was dropped."""
        _mark(self, "drop", False)
        self.take(event.mimeData())
        event.acceptProposedAction()

    def retranslate(self) -> None:
        """All words of the composer."""
        self.edit.setPlaceholderText(tr("Say something…"))
        self.edit.setAccessibleName(tr("Your message"))
        say(self.attach, tr("Attach pictures"))
        say(self.send, tr("Send"), "Enter")
        say(self.stop, tr("Stop"), "Esc")


def _mark(widget: QWidget, name: str, on: bool) -> None:
    """Set a property the style sheet looks at, and let it look again."""
    widget.setProperty(name, on)
    widget.style().unpolish(widget)
    widget.style().polish(widget)


class Editor(QPlainTextEdit):
    """Grows with its text. Enter sends, Shift+Enter is a new line; pasted pictures go to the composer."""

    entered = Signal()
    focus_changed = Signal(bool)
    media_pasted = Signal(QMimeData)

    def __init__(self, composer: Composer) -> None:
        super().__init__(composer)
        self._composer = composer
        self.setTabChangesFocus(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.document().setDocumentMargin(4)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.document().documentLayout().documentSizeChanged.connect(self._grow)
        self._grow()

    def _grow(self) -> None:
        lines = min(max(int(self.document().size().height()), LINES_MIN), LINES_MAX)
        self.setFixedHeight(lines * self.fontMetrics().lineSpacing() + 2 * 4 + 2)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter sends unless Shift is held; input methods confirm with Enter first and never come here."""
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if enter and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.entered.emit()
        elif enter:
            self.insertPlainText("\n")
        elif event.matches(QKeySequence.StandardKey.Paste):
            self.paste()
        else:
            super().keyPressEvent(event)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        """Text, pictures and picture files."""
        return source.hasImage() or source.hasUrls() or source.hasText()

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Pictures become attachments; text comes in plain, and not by the megabyte."""
        if (source.hasUrls() or source.hasImage()) and self._composer.take(source):
            return
        if len(source.text()) + len(self.toPlainText()) > TEXT_MAX:
            sentence = tr("That is too long for one message; {count} characters fit.").format(count=f"{TEXT_MAX:,}")
            self._composer.refused.emit(sentence)
            return
        self.insertPlainText(source.text())

    def focusInEvent(self, event: QFocusEvent) -> None:
        """The frame around shows the focus."""
        super().focusInEvent(event)
        self.focus_changed.emit(True)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """The focus went elsewhere."""
        super().focusOutEvent(event)
        self.focus_changed.emit(False)


class Segments(Spoken, QFrame):
    """auto · words · picture."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("segments")
        row = QHBoxLayout(self)
        row.setContentsMargins(2, 2, 2, 2)
        row.setSpacing(0)
        self._group = QButtonGroup(self)
        self._buttons: dict[str, QToolButton] = {}
        for name in ("auto", "text", "image"):
            button = QToolButton()
            button.setCheckable(True)
            button.setProperty("role", "segment")
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            button.clicked.connect(lambda _=False, n=name: self.chosen.emit(n))
            self._group.addButton(button)
            self._buttons[name] = button
            row.addWidget(button)
        self._buttons["auto"].setChecked(True)
        self.retranslate()

    def choice(self) -> str:
        """ "auto" | "text" | "image"."""
        return next(n for n, b in self._buttons.items() if b.isChecked())

    def show_choice(self, name: str) -> None:
        """Set it without telling anyone."""
        self._buttons[name].setChecked(True)

    def flip(self) -> None:
        """Words to picture and back; from auto to picture."""
        name = "text" if self.choice() == "image" else "image"
        self._buttons[name].click()

    def retranslate(self) -> None:
        """Names and what they mean."""
        for name, text, hint in (
            ("auto", tr("Auto"), tr("Auto: the director decides between words and a picture")),
            ("text", tr("Words"), tr("Words: answer in words only")),
            ("image", tr("Picture"), tr("Picture: draw in any case")),
        ):
            self._buttons[name].setText(text)
            self._buttons[name].setToolTip(hint)
            self._buttons[name].setAccessibleName(hint)


class Attachments(QWidget):
    """Thumbnails of the attached pictures, each with a button that takes it off again."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._paths: list[str] = []
        self._chips: list[QWidget] = []
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(8)
        self._row.addStretch(1)
        self.hide()

    def paths(self) -> tuple[str, ...]:
        """Files, in the order they were attached."""
        return tuple(self._paths)

    def add(self, path: str) -> bool:
        """Attach a file; False if it is not a picture."""
        reader = QImageReader(path)
        reader.setAutoTransform(True)
        size = reader.size()
        if not reader.canRead():
            return False
        if size.isValid():
            reader.setScaledSize(size.scaled(THUMB * 2, THUMB * 2, Qt.AspectRatioMode.KeepAspectRatio))
        image = reader.read()
        if image.isNull():
            return False
        if path not in self._paths:
            self._paths.append(path)
            self._chips.append(self._chip(path, QPixmap.fromImage(image)))
            self._row.insertWidget(self._row.count() - 1, self._chips[-1])
            self._tell()
        return True

    def clear(self) -> None:
        """None attached."""
        for path in self.paths():
            self.remove(path)

    def remove(self, path: str) -> None:
        """Take one off."""
        at = self._paths.index(path)
        del self._paths[at]
        self._chips.pop(at).deleteLater()
        self._tell()

    def _tell(self) -> None:
        self.setVisible(bool(self._paths))
        self.changed.emit()

    def _chip(self, path: str, pixmap: QPixmap) -> QWidget:
        chip = QWidget()
        row = QHBoxLayout(chip)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        picture = QLabel()
        picture.setPixmap(pixmap.scaled(QSize(THUMB, THUMB), Qt.AspectRatioMode.KeepAspectRatio,
                                        Qt.TransformationMode.SmoothTransformation))  # fmt: skip
        picture.setToolTip(Path(path).name)
        picture.setAccessibleName(Path(path).name)
        off = icon_button("close", paint="muted")
        off.setIconSize(QSize(14, 14))
        say(off, tr("Remove {name}").format(name=Path(path).name))
        off.clicked.connect(lambda: self.remove(path))
        row.addWidget(picture)
        row.addWidget(off, 0, Qt.AlignmentFlag.AlignTop)
        return chip
