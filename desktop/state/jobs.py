"""The one thread that talks to the engine: opens it, wakes the models, runs the queue of turns, closes it.

Everything it learns leaves as queued signals, so that slots run in the GUI thread. Knows neither widgets nor what the
events mean.
"""

import queue
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from desktop.engine import Draft, Engine, TurnBegan, TurnFinished
from models.contracts import Cancelled, KnownError, Modality
from models.seeds import random_seed

CLOSE_WAIT_S = 10.0


@dataclass(frozen=True)
class Job:
    """A message on its way to the engine."""

    session_id: str
    text: str
    images: tuple[Path, ...] = ()
    modality: Modality = Modality.AUTO
    seed: int | None = None
    follow_head: bool = True
    """Continue from wherever the session stands when the job's turn comes; otherwise from `parent_id`."""
    parent_id: str | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


class Jobs(QObject):
    """Queue of messages and the thread that works it off, one turn at a time."""

    opened = Signal(object)  # Engine
    open_failed = Signal(str)  # one sentence
    stage = Signal(str)  # "loading_mllm" | "loading_t2i" | "ready"
    warm_failed = Signal(str)  # one sentence
    began = Signal(str, object)  # job id, TurnBegan
    happened = Signal(str, object)  # turn id, EngineEvent
    named = Signal(str, str)  # kind, name of the model in that chair
    refused = Signal(object, str)  # Job, one sentence: the turn could not be written down
    broke = Signal(object)  # an exception of ours
    changed = Signal()  # the queue, or what runs

    def __init__(self, factory: Callable[[], Engine], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._factory = factory
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting: list[Job] = []
        self._running: Job | None = None
        self._stop = threading.Event()
        self._closing = False
        self._engine: Engine | None = None
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    # ------------------------------------------------------------ asked by the GUI thread
    def start(self) -> None:
        """Open the engine and wake its models, in the background."""
        self.open()
        self._thread.start()

    def open(self) -> None:
        """(Again) open the engine and wake its models."""
        self._tasks.put(self._open)

    def warm_up(self) -> None:
        """(Again) wake the models."""
        self._tasks.put(self._warm_up)

    def send(self, job: Job) -> None:
        """Put a message at the end of the queue."""
        with self._lock:
            self._waiting.append(job)
        self._tasks.put(self._next)
        self.changed.emit()

    def take_back(self, job_id: str) -> Job | None:
        """Remove a waiting message and return it; None if it is already running or gone."""
        with self._lock:
            found = next((j for j in self._waiting if j.id == job_id), None)
            if found:
                self._waiting.remove(found)
        if found:
            self.changed.emit()
        return found

    def stop(self) -> None:
        """Stop the running turn; what waits behind it goes on."""
        self._stop.set()

    @property
    def waiting(self) -> tuple[Job, ...]:
        """Messages that wait, in order."""
        with self._lock:
            return tuple(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether a turn runs or waits."""
        with self._lock:
            return self._running is not None or bool(self._waiting)

    def close(self) -> None:
        """Stop everything and close the engine; returns when its thread has ended, or after CLOSE_WAIT_S."""
        self._closing = True
        with self._lock:
            self._waiting.clear()
        self._stop.set()
        self._tasks.put(None)
        if self._thread.is_alive():
            self._thread.join(CLOSE_WAIT_S)
        if self._thread.is_alive() and self._engine:  # stuck in a load: end the workers under it
            self._engine.close()
            self._thread.join(CLOSE_WAIT_S)

    # ------------------------------------------------------------ in the engine's thread
    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task()
            except Exception as error:
                if not self._closing:
                    self.broke.emit(error)
        if self._engine:
            self._engine.close()

    def _open(self) -> None:
        if self._engine is None:
            try:
                self._engine = self._factory()
            except KnownError as error:
                self.open_failed.emit(str(error))
                return
            self.opened.emit(self._engine)
        self._warm_up()

    def _name(self, engine: Engine) -> None:
        for kind in ("mllm", "t2i"):
            with suppress(KnownError):  # waking it up says the same, with the sentence on screen
                self.named.emit(kind, engine.describe(kind).name)

    def _warm_up(self) -> None:
        if self._engine is None or self._closing:
            return
        self._name(self._engine)
        try:
            self._engine.warm_up(self.stage.emit)
        except KnownError as error:
            if not self._closing:
                self.warm_failed.emit(str(error))

    def _next(self) -> None:
        if self._engine is None or self._closing:
            return
        with self._lock:
            if not self._waiting:
                return
            self._running = self._waiting.pop(0)
        self._stop.clear()
        self.changed.emit()
        try:
            self._turn(self._engine, self._running)
        finally:
            with self._lock:
                self._running = None
            self.changed.emit()

    def _turn(self, engine: Engine, job: Job) -> None:
        turn_id = ""
        try:
            for event in engine.turn(self._draft(engine, job), self._stop.is_set):
                if isinstance(event, TurnBegan):
                    turn_id = event.turn.id
                    self.began.emit(job.id, event)
                else:
                    self.happened.emit(turn_id, event)
        except (KnownError, Cancelled) as error:
            self.refused.emit(job, str(error))
        except Exception:
            self._after_bug(engine, job, turn_id)
            raise

    def _after_bug(self, engine: Engine, job: Job, turn_id: str) -> None:
        """The engine has marked the turn as failed; show it so, or give the words back if there is no turn."""
        if turn_id:
            self.happened.emit(turn_id, TurnFinished(engine.store.turn(turn_id)))
        else:
            self.refused.emit(job, "")

    def _draft(self, engine: Engine, job: Job) -> Draft:
        session = engine.store.session(job.session_id)
        seed = job.seed
        if seed is None:
            seed = session.seed if session.seed_locked else random_seed()
        return Draft(
            session_id=job.session_id,
            text=job.text,
            parent_id=session.head if job.follow_head else job.parent_id,
            images=job.images,
            modality=job.modality,
            seed=seed,
        )
