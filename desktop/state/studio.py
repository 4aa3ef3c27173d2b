"""The window's whole state in one object: session, jobs, models, drafts, and the wires between them.

What the artist does arrives here as a method call; what the engine does arrives as a signal of `Jobs`. Knows no widget.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from PySide6.QtCore import QObject, Qt, Signal

from desktop.engine import Engine, EngineEvent, TurnBegan
from desktop.state.bugs import BugReports
from desktop.state.chairs import Chairs
from desktop.state.drafts import Drafts
from desktop.state.jobs import Job, Jobs
from desktop.state.session import SessionModel
from desktop.state.settings import SettingsModel
from models.contracts import KnownError, Modality


@dataclass(frozen=True)
class Words:
    """What the composer hands over."""

    text: str
    images: tuple[str, ...] = ()
    modality: str = "auto"


class Studio(QObject):
    """Created after the window is on screen; `start` opens the engine in its own thread."""

    waking = Signal(str)  # "opening" | "loading_mllm" | "loading_t2i" | "ready"
    cannot_open = Signal(str)  # one sentence
    cannot_wake = Signal(str)  # one sentence
    session_opened = Signal()  # `session` is there from now on
    sending_failed = Signal(object, str)  # Words that belong back into the composer, one sentence
    committed = Signal(str)  # job id: its words are in the store
    queue_changed = Signal()

    def __init__(
        self, factory: Callable[[], Engine], settings: SettingsModel, bugs: BugReports, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.settings = settings
        self.bugs = bugs
        self.chairs = Chairs(self)
        self.drafts = Drafts(settings.home / "drafts.json", self)
        self.jobs = Jobs(factory, self)
        self.session: SessionModel | None = None
        self.engine: Engine | None = None
        self._early: list[Job] = []
        self._connect()

    def _connect(self) -> None:
        queued = Qt.ConnectionType.QueuedConnection
        jobs = self.jobs
        for signal, slot in (
            (jobs.opened, self._opened), (jobs.open_failed, self.cannot_open), (jobs.stage, self._stage),
            (jobs.warm_failed, self._warm_failed), (jobs.began, self._began), (jobs.happened, self._event),
            (jobs.refused, self._refused), (jobs.broke, self._broke), (jobs.changed, self.queue_changed),
            (jobs.named, self.chairs.named),
        ):  # fmt: skip
            signal.connect(slot, queued)

    # ------------------------------------------------------------ life
    def start(self) -> None:
        """Open the engine and wake the models; the window stays usable meanwhile."""
        self.waking.emit("opening")
        self.jobs.start()

    def try_again(self) -> None:
        """Open or wake again after a failure."""
        self.waking.emit("opening")
        self.jobs.open()

    def close(self) -> None:
        """Keep what is typed, carry out pending removals, stop the engine."""
        self.drafts.flush()
        if self.session:
            self._delete_hidden(self.session)
        self.jobs.close()

    def _delete_hidden(self, session: SessionModel) -> None:
        try:
            session.delete_hidden()
        except KnownError as error:  # at the end there is nobody left to tell; the sessions simply stay
            self.cannot_wake.emit(str(error))

    # ------------------------------------------------------------ what the artist does
    def send(self, words: Words) -> str:
        """Queue a message and return its job id. Its words are on disk before this returns."""
        session = self.session.ensure_current(words.text) if self.session else None
        job = Job(
            session_id=session.id if session else "",
            text=words.text,
            images=tuple(Path(p) for p in words.images),
            modality=Modality(words.modality),
            seed=self.session.seed_for_next() if self.session else None,
        )
        self.drafts.sent(job.id, job.session_id, job.text)
        if session:
            self.jobs.send(job)
        else:
            self._early.append(job)
        self.queue_changed.emit()
        return job.id

    def retry(self, turn_id: str) -> None:
        """Say the same again, from the same place, with the same seed."""
        turn = self.session.turn(turn_id) if self.session else None
        if turn is None:
            return
        self.jobs.send(
            Job(
                session_id=turn.session_id, text=turn.text, images=tuple(Path(i.path) for i in turn.images),
                modality=turn.modality, seed=turn.seed, follow_head=False, parent_id=turn.parent_id,
            )
        )  # fmt: skip

    def stop(self) -> None:
        """Stop the running turn."""
        self.jobs.stop()

    @property
    def busy(self) -> bool:
        """Whether anything runs or waits."""
        return self.jobs.busy or bool(self._early)

    @property
    def waiting(self) -> Sequence[Job]:
        """Messages of the session on screen that wait for their turn."""
        if self.session is None:
            return self._early
        current = self.session.current.id if self.session.current else ""
        return [j for j in self.jobs.waiting if j.session_id == current]

    def take_back(self, job_id: str) -> Words | None:
        """Take a waiting message out of the queue, for the composer."""
        early = next((j for j in self._early if j.id == job_id), None)
        if early:
            self._early.remove(early)
        job = early or self.jobs.take_back(job_id)
        if job is None:
            return None
        self.drafts.committed(job_id)
        self.queue_changed.emit()
        return _words(job)

    # ------------------------------------------------------------ what the engine does
    def _opened(self, engine: Engine) -> None:
        self.engine = engine
        self.session = SessionModel(engine.store, self)
        self.session_opened.emit()
        self.session.open_latest()
        self._send_early(self.session)

    def _send_early(self, session: SessionModel) -> None:
        early, self._early = self._early, []
        if early:
            session.new()
        for job in early:
            current = session.ensure_current(job.text)
            self.jobs.send(replace(job, session_id=current.id, seed=session.seed_for_next()))

    def _stage(self, stage: str) -> None:
        self.chairs.stage(stage)
        self.waking.emit(stage)

    def _warm_failed(self, sentence: str) -> None:
        self.chairs.problem()
        self.cannot_wake.emit(sentence)

    def _began(self, job_id: str, event: TurnBegan) -> None:
        self.drafts.committed(job_id)
        if self.session:
            self.session.began(event.turn)
        self.committed.emit(job_id)
        self.queue_changed.emit()

    def _event(self, turn_id: str, event: EngineEvent) -> None:
        self.chairs.apply(event)
        if self.session:
            self.session.apply(turn_id, event)

    def _refused(self, job: Job, sentence: str) -> None:
        self.drafts.committed(job.id)
        self.sending_failed.emit(_words(job), sentence)
        self.queue_changed.emit()

    def _broke(self, error: object) -> None:
        self.bugs.report(cast(BaseException, error))


def _words(job: Job) -> Words:
    return Words(job.text, tuple(str(p) for p in job.images), str(job.modality))
