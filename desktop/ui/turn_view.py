"""One turn in the chat: the artist's words, the answer's words and pictures in order, and how it ended.

Shows a TurnRecord, or a LiveTurn while it runs. Knows neither the store nor the engine.
"""

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QPixmap, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from desktop.state.live import LiveSlot, LiveTurn
from desktop.store.records import TurnRecord
from desktop.ui import progress_words
from desktop.ui.engine_words import engine_words
from desktop.ui.images import Images
from desktop.ui.parts import Fault, icon_button, label, say, taken
from desktop.ui.picture_view import PictureView
from desktop.ui.text_block import FOLD, TextBlock
from desktop.ui.words import Spoken, tr
from models.contracts import ImageRef, TextSegment

BUBBLE_PART = 0.88
THUMB = 72


class Bubble(QFrame):
    """The artist's words and pictures, on the right."""

    def __init__(self, text: str, images: tuple[ImageRef, ...] | tuple[str, ...], loader: Images) -> None:
        super().__init__()
        self.setObjectName("bubble")
        self._loader = loader
        self._thumbs: list[tuple[str, QLabel]] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 12, 8)
        column.setSpacing(8)
        if images:
            column.addLayout(self._pictures(images))
        self.words = TextBlock()
        self._whole = text
        self.words.show_plain(text if len(text) <= FOLD else text[:FOLD] + "…")
        column.addWidget(self.words)
        self.words.setVisible(bool(text))  # only now: without a parent it would be a window of its own

    def _pictures(self, images: tuple[ImageRef, ...] | tuple[str, ...]) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch(1)
        for image in images:
            thumb = QLabel()
            thumb.setFixedHeight(THUMB)
            path = image if isinstance(image, str) else image.path
            thumb.setAccessibleName(tr("Attached picture"))
            self._thumbs.append((path, thumb))
            row.addWidget(thumb)
        self._loader.ready.connect(self._ready)
        self._ready()
        return row

    def _ready(self, _path: str = "", _side: int = 0) -> None:
        for path, thumb in self._thumbs:
            pixmap = self._loader.get(path, THUMB * 2)
            if pixmap and not pixmap.isNull() and thumb.pixmap().isNull():
                thumb.setPixmap(pixmap.scaledToHeight(THUMB, Qt.TransformationMode.SmoothTransformation))

    def fit(self, most: int) -> None:
        """As wide as its words, at most `most`."""
        thumbs = sum(t.pixmap().width() + 8 for _, t in self._thumbs)
        width = max(self.words.ideal_width(most - 24), thumbs)
        self.setFixedWidth(min(most, width + 24))


class TurnView(Spoken, QWidget):
    """Emits what the artist wants of this turn; `sync` shows what it has become."""

    picture_chosen = Signal(str, int)  # turn id, number
    inspected = Signal(str, int)
    picture_menu = Signal(int, QPoint)
    retried = Signal(str)
    grown = Signal()

    def __init__(self, turn: TurnRecord, images: Images) -> None:
        super().__init__()
        self.turn = turn
        self._images = images
        self._live: LiveTurn | None = None
        self._pictures: dict[int, PictureView] = {}
        self._streamed: TextBlock | None = None
        self._chosen: int | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        self.bubble = Bubble(turn.text, turn.images, images)
        column.addWidget(self.bubble, 0, Qt.AlignmentFlag.AlignRight)
        self._answer = QVBoxLayout()
        self._answer.setSpacing(8)
        column.addLayout(self._answer)
        self.status = label("", "muted")
        self.status.hide()
        column.addWidget(self.status)
        self._foot = QVBoxLayout()
        column.addLayout(self._foot)
        self.bubble.words.setAccessibleName(tr("You said"))
        self.show_record(turn)

    # ------------------------------------------------------------ finished
    def show_record(self, turn: TurnRecord) -> None:
        """The turn as the store has it. Pictures and words already on screen stay where they are."""
        self.turn = turn
        if turn.state == "pending":
            return
        self._live = None
        self.status.hide()
        self._show_segments(turn)
        self._show_end(turn)
        self.fit()
        self.grown.emit()

    def _show_segments(self, turn: TurnRecord) -> None:
        segments = turn.reply.segments if turn.reply else ()
        order: list[QWidget] = [self._streamed] if self._streamed and not segments else []
        slot = 0
        stored = {p.slot: p for p in turn.pictures}
        for segment in segments:
            if isinstance(segment, TextSegment):
                order.extend(self._words(segment.text, first=not any(isinstance(w, TextBlock) for w in order)))
            elif slot in stored:
                order.append(self._picture(slot, turn))
                slot += 1
        order.extend(self._picture(s, turn) for s in sorted(stored) if self._pictures.get(s) not in order)
        self._arrange(order)

    def _words(self, text: str, first: bool) -> list[QWidget]:
        if not text.strip():
            return []
        block = self._streamed if first and self._streamed else self._block()
        block.show_markdown(text.strip())
        return [block]

    def _picture(self, slot: int, turn: TurnRecord) -> PictureView:
        record = next(p for p in turn.pictures if p.slot == slot)
        view = self._pictures.get(slot) or self._new_picture(slot, QSize(record.width, record.height))
        view.show_record(record)
        return view

    def _arrange(self, order: list[QWidget]) -> None:
        for old in taken(self._answer):
            if old not in order:
                old.hide()
                old.deleteLater()
        self._pictures = {s: v for s, v in self._pictures.items() if v in order}
        for widget in order:
            self._answer.addWidget(widget, 0, _side(widget))

    def _show_end(self, turn: TurnRecord) -> None:
        for old in taken(self._foot):
            old.deleteLater()
        if turn.state == "failed":
            sentence = engine_words(turn.error or "") or tr("This turn could not be finished.")
            self._foot.addWidget(Fault(sentence, tr("Try again"), lambda: self.retried.emit(turn.id)))
        elif turn.state == "interrupted":
            sentence = tr("Limner was closed before this turn was finished.")
            self._foot.addWidget(Fault(sentence, tr("Try again"), lambda: self.retried.emit(turn.id)))
        elif turn.state == "cancelled":
            self._foot.addWidget(self._stopped(turn))

    def _stopped(self, turn: TurnRecord) -> QWidget:
        line = QWidget()
        row = QHBoxLayout(line)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(label(tr("Stopped."), "muted"))
        again = icon_button("retry", paint="muted")
        say(again, tr("Try again"))
        again.clicked.connect(lambda: self.retried.emit(turn.id))
        row.addWidget(again)
        row.addStretch(1)
        return line

    # ------------------------------------------------------------ running
    def show_live(self, live: LiveTurn, said: str = "") -> None:
        """The turn as it runs; `said` are words to append."""
        self._live = live
        if live.stage == "correcting" and self._streamed and not said:
            self._streamed.clear()
        if said:
            if self._streamed is None:
                self._streamed = self._block()
                self._answer.addWidget(self._streamed)
            self._streamed.stream(said)
        for slot in live.slots.values():
            self._show_slot(slot)
        self._show_status(live)
        self.grown.emit()

    def _show_slot(self, slot: LiveSlot) -> None:
        view = self._pictures.get(slot.slot)
        if view is None:
            view = self._new_picture(slot.slot, QSize(slot.spec.width, slot.spec.height))
            self._answer.addWidget(view, 0, Qt.AlignmentFlag.AlignLeft)
            self.fit()
        if slot.picture:
            view.show_record(slot.picture)
            return
        preview = QPixmap()
        if slot.preview:
            preview.loadFromData(slot.preview)
        view.show_slot(slot, preview, progress_words.painting(slot))

    def _show_status(self, live: LiveTurn) -> None:
        words = "" if live.painting() else progress_words.stage(live.stage)
        self.status.setText(words)
        self.status.setAccessibleName(words)
        self.status.setVisible(bool(words))

    # ------------------------------------------------------------ parts
    def _block(self) -> TextBlock:
        return TextBlock(tr("Limner said"))

    def _new_picture(self, slot: int, size: QSize) -> PictureView:
        view = PictureView(self._images, size)
        view.chosen.connect(lambda number: self.picture_chosen.emit(self.turn.id, number))
        view.inspected.connect(lambda number: self.inspected.emit(self.turn.id, number))
        view.menu_asked.connect(self.picture_menu)
        view.show_chosen(self._chosen)
        self._pictures[slot] = view
        return view

    @property
    def pictures(self) -> list[PictureView]:
        """The turn's pictures by slot."""
        return [self._pictures[s] for s in sorted(self._pictures)]

    def said(self) -> str:
        """The visible words of the answer."""
        items = (self._answer.itemAt(i) for i in range(self._answer.count()))
        blocks = (item.widget() for item in items if item)
        return "\n\n".join(b.toPlainText() for b in blocks if isinstance(b, TextBlock))

    def show_chosen(self, number: int | None) -> None:
        """Which picture is on the canvas."""
        self._chosen = number
        for view in self._pictures.values():
            view.show_chosen(number)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Bubble and pictures follow the column's width."""
        super().resizeEvent(event)
        self.fit()

    def fit(self) -> None:
        """Widths for the room there is."""
        self.bubble.fit(int(self.width() * BUBBLE_PART))
        for view in self._pictures.values():
            view.fit(self.width())

    def retranslate(self) -> None:
        self._show_end(self.turn)
        if self._live:
            self._show_status(self._live)


def _side(widget: QWidget) -> Qt.AlignmentFlag:
    return Qt.AlignmentFlag.AlignLeft if isinstance(widget, PictureView) else Qt.AlignmentFlag(0)


class WaitingView(Spoken, QWidget):
    """A message that waits for its turn."""

    taken_back = Signal(str)

    def __init__(self, job_id: str, text: str, images: tuple[str, ...], loader: Images) -> None:
        super().__init__()
        self.job_id = job_id
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        self.bubble = Bubble(text, images, loader)
        column.addWidget(self.bubble, 0, Qt.AlignmentFlag.AlignRight)
        row = QHBoxLayout()
        row.addStretch(1)
        self.words = label("", "muted")
        self.back = QPushButton()
        self.back.clicked.connect(lambda: self.taken_back.emit(job_id))
        row.addWidget(self.words)
        row.addWidget(self.back)
        column.addLayout(row)
        self.retranslate()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The bubble follows the column's width."""
        super().resizeEvent(event)
        self.bubble.fit(int(self.width() * BUBBLE_PART))

    def retranslate(self) -> None:
        self.words.setText(tr("Waiting"))
        self.back.setText(tr("Take back"))
        self.back.setAccessibleName(tr("Take this message back"))
