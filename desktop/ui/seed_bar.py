"""The seed: a lock, the number, a dice. Knows numbers only."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget

from desktop.ui import icons
from desktop.ui.parts import icon_button, label, say
from desktop.ui.words import Spoken, tr

SEED_MAX = 2**32 - 1
"""The same as models.contracts.SEED_MAX (a test holds them together); that module is not needed to show a window."""


class SeedBar(Spoken, QWidget):
    """Emits what the artist wants; shows what the session has."""

    typed = Signal(object)  # int: beyond 2^31
    locked = Signal(bool)
    rolled = Signal()
    refused = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 0, 4, 0)
        row.setSpacing(4)
        self.lock = icon_button("lock", checkable=True, paint="muted")
        self.words = label("", "muted")
        self.field = QLineEdit()
        self.field.setProperty("role", "bare")
        self.field.setMaxLength(20)
        self.dice = icon_button("dice", paint="muted")
        for widget in (self.lock, self.words, self.field, self.dice):
            row.addWidget(widget)
        row.addStretch(1)
        self._fit()
        self.lock.clicked.connect(self.locked)
        self.dice.clicked.connect(self.rolled)
        self.field.editingFinished.connect(self._finished)
        self._seed = 0
        self.lock.setChecked(True)
        self.retranslate()

    def show_seed(self, seed: int, locked: bool) -> None:
        """What the session has."""
        self._seed = seed
        self.field.setText(str(seed))
        self._mark(False)
        self.lock.setChecked(locked)
        self.lock.setIcon(icons.icon("lock" if locked else "unlock", "muted"))
        self.retranslate()

    def _finished(self) -> None:
        text = self.field.text().strip()
        if text == str(self._seed):
            self._mark(False)
        elif text.isascii() and text.isdigit() and int(text) <= SEED_MAX:
            self._mark(False)
            self.typed.emit(int(text))
        else:
            self._mark(True)
            self.refused.emit(tr("A seed is a whole number from 0 to {largest}.").format(largest=SEED_MAX))

    def _mark(self, wrong: bool) -> None:
        self.field.setProperty("wrong", wrong)
        self.field.style().unpolish(self.field)
        self.field.style().polish(self.field)

    def _fit(self) -> None:
        self.field.setFixedWidth(self.field.fontMetrics().horizontalAdvance("4294967295") + 14)

    def showEvent(self, event: object) -> None:
        """The style sheet's font is known by now."""
        super().showEvent(event)  # type: ignore[arg-type]
        self._fit()

    def retranslate(self) -> None:
        """Names and what they mean."""
        held = tr("Seed is kept: pictures stay close to each other")
        free = tr("Seed changes with every message")
        kept = self.lock.isChecked()
        say(self.lock, held if kept else free, "S")
        self.words.setText(tr("Seed kept") if kept else tr("Seed changes"))
        say(self.field, tr("Seed"))
        say(self.dice, tr("Roll another seed"))
