"""The conversation on screen: the turns of its branch, its pictures, its seed, and what is running in it.

The one place where this state lives. Reads and writes the store; knows neither the engine's thread nor widgets. Every
signal says what changed, so that only the views concerned look again.
"""

import random

from PySide6.QtCore import QObject, Signal

from desktop.engine import EngineEvent, PictureStored, TurnFinished
from desktop.state.live import LiveTurn
from desktop.store.records import PictureRecord, SessionRecord, TurnRecord
from desktop.store.store import Store
from models.contracts import SEED_MAX

TITLE_LENGTH = 48


class SessionModel(QObject):
    """Sessions of the library and the branch of the current one. No current session = one that is not yet begun."""

    sessions_changed = Signal()  # the list, or a title in it
    switched = Signal()  # another session
    branch_changed = Signal()  # turns came or went
    turn_changed = Signal(str)  # turn id: its record is another
    live_changed = Signal(str, object)  # turn id, EngineEvent: the running turn moved on
    picture_added = Signal(object)  # PictureRecord
    chosen_changed = Signal()  # another turn or picture is looked at
    seed_changed = Signal()

    def __init__(self, store: Store, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.store = store
        self.current: SessionRecord | None = None
        self.branch: list[TurnRecord] = []
        self.pictures: list[PictureRecord] = []
        self.live: dict[str, LiveTurn] = {}
        self.chosen_turn: str | None = None
        self.chosen_picture: int | None = None
        """Number of the picture looked at. Not its hash: the same picture painted twice is two pictures."""
        self._hidden: set[str] = set()
        self._seed = roll()
        self._locked = True

    # ------------------------------------------------------------ sessions
    def sessions(self) -> list[SessionRecord]:
        """Newest first, without those whose removal can still be undone."""
        return [s for s in self.store.sessions() if s.id not in self._hidden]

    def open_latest(self) -> None:
        """Where the artist left off, or a blank conversation."""
        sessions = self.sessions()
        if sessions:
            self.switch(sessions[0].id)
        else:
            self.new()
        self.sessions_changed.emit()

    def new(self) -> None:
        """A blank conversation; it enters the store with its first message."""
        self._enter(None)

    def switch(self, session_id: str) -> None:
        """Show another session, exactly as it was left."""
        if self.current is None or self.current.id != session_id:
            self._enter(self.store.session(session_id))

    def _enter(self, session: SessionRecord | None) -> None:
        self.current = session
        self.pictures = self.store.pictures(session.id) if session else []
        if session:
            self._seed, self._locked = session.seed, session.seed_locked
        else:
            self._seed, self._locked = roll(), True
        self._read_branch()
        self.chosen_turn = self.branch[-1].id if self.branch else None
        self.chosen_picture = self.pictures[-1].number if self.pictures else None
        for changed in (self.switched, self.branch_changed, self.seed_changed, self.chosen_changed):
            changed.emit()

    def ensure_current(self, first_words: str) -> SessionRecord:
        """The current session; a blank conversation is written into the store under its first words."""
        if self.current is None:
            self.current = self.store.create_session(title_from(first_words), seed=self._seed, seed_locked=self._locked)
            self.sessions_changed.emit()
        return self.current

    def rename(self, session_id: str, title: str) -> None:
        """Give a session another title; an empty one is ignored."""
        if title.strip():
            self._renew(self.store.update_session(session_id, title=title.strip()))

    def hide(self, session_id: str) -> None:
        """Take a session off the list, so that its removal can be undone."""
        self._hidden.add(session_id)
        if self.current and self.current.id == session_id:
            rest = self.sessions()
            self._enter(rest[0] if rest else None)
        self.sessions_changed.emit()

    def unhide(self, session_id: str) -> None:
        """Undo `hide` and go back to the session."""
        self._hidden.discard(session_id)
        self.sessions_changed.emit()
        self.switch(session_id)

    def delete_hidden(self) -> None:
        """Remove what was hidden, for good."""
        for session_id in self._hidden:
            self.store.delete_session(session_id)
        self._hidden.clear()

    def _renew(self, session: SessionRecord) -> None:
        if self.current and self.current.id == session.id:
            self.current = session
        self.sessions_changed.emit()

    # ------------------------------------------------------------ seed
    @property
    def seed(self) -> int:
        """0..SEED_MAX."""
        return self._seed

    @property
    def seed_locked(self) -> bool:
        """Whether every picture of the conversation takes the same seed."""
        return self._locked

    def set_seed(self, seed: int | None = None, *, locked: bool | None = None) -> None:
        """Type, roll or lock the seed. Seeds outside 0..SEED_MAX are the caller's fault (ValueError)."""
        if seed is not None and not 0 <= seed <= SEED_MAX:
            raise ValueError(f"seed {seed} is outside 0..{SEED_MAX}")
        self._seed = self._seed if seed is None else seed
        self._locked = self._locked if locked is None else locked
        if self.current:
            self.current = self.store.update_session(self.current.id, seed=self._seed, seed_locked=self._locked)
        self.seed_changed.emit()

    def roll(self) -> None:
        """Another random seed."""
        self.set_seed(roll())

    def seed_for_next(self) -> int:
        """The seed of the message that is sent now; an unlocked one is rolled, and shown."""
        if not self._locked:
            self.set_seed(roll())
        return self._seed

    # ------------------------------------------------------------ turns
    def turn(self, turn_id: str) -> TurnRecord | None:
        """A turn of the branch on screen."""
        return next((t for t in self.branch if t.id == turn_id), None)

    def picture(self, number: int | None) -> PictureRecord | None:
        """The picture of a number in the session on screen."""
        return next((p for p in self.pictures if p.number == number), None)

    def choose(self, turn_id: str, number: int | None = None) -> None:
        """Look at a turn, and at one of its pictures if it has any."""
        turn = self.turn(turn_id)
        if number is None and turn and turn.pictures:
            number = turn.pictures[-1].number
        self.chosen_turn = turn_id
        self.chosen_picture = number or self.chosen_picture
        self.chosen_changed.emit()

    def began(self, turn: TurnRecord) -> None:
        """A turn is in the store and starts to run."""
        self.live[turn.id] = LiveTurn(turn)
        if self.current and self.current.id == turn.session_id:
            self.current = self.store.session(turn.session_id)
            self._read_branch()
            self.branch_changed.emit()
            self.choose(turn.id)
        self.sessions_changed.emit()

    def apply(self, turn_id: str, event: EngineEvent) -> None:
        """Something happened in a running turn, whether its session is on screen or not."""
        live = self.live.get(turn_id)
        if live:
            live.apply(event)
        if isinstance(event, PictureStored):
            self._picture_stored(event.picture)
        if isinstance(event, TurnFinished):
            self._finished(event.turn)
        elif self.turn(turn_id):
            self.live_changed.emit(turn_id, event)

    def _picture_stored(self, picture: PictureRecord) -> None:
        if self.current and self.current.id == picture.session_id:
            self.pictures.append(picture)
            if self.chosen_turn == picture.turn_id:
                self.chosen_picture = picture.number
            self.picture_added.emit(picture)
            self.chosen_changed.emit()

    def _finished(self, turn: TurnRecord) -> None:
        self.live.pop(turn.id, None)
        if self.current and self.current.id == turn.session_id:
            self.current = self.store.session(turn.session_id)
        for at, old in enumerate(self.branch):
            if old.id == turn.id:
                self.branch[at] = turn
                self.turn_changed.emit(turn.id)
                self.chosen_changed.emit()
        self.sessions_changed.emit()

    def _read_branch(self) -> None:
        head = self.current.head if self.current else None
        turns = self.store.branch(head) if head else []
        # The engine may be ahead of its events: a turn that is live here stays as it began until its end arrives.
        self.branch = [self.live[t.id].turn if t.id in self.live else t for t in turns]


def roll() -> int:
    """A random seed."""
    return random.randint(0, SEED_MAX)


def title_from(words: str) -> str:
    """A title from a message: its first line, cut at a word."""
    line = next((part.strip() for part in words.splitlines() if part.strip()), "")
    if len(line) <= TITLE_LENGTH:
        return line
    cut = line[:TITLE_LENGTH].rsplit(" ", 1)[0]
    return cut.rstrip(" ,.;，。；") + "…"
