"""The worker of one kind as the parent sees it: started when needed, again after a death, one request at a time.

Knows processes and frames and which model must be loaded; what requests mean is for `proxies` to say.
"""

import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from models.contracts import ERRORS, Cancelled, KnownError, LimnerError, ModelDescription, WorkerDiedError, to_json
from models.workers.ipc import Frame
from models.workers.process import WorkerProcess
from models.workers.serve import BUG

POLL_S = 0.04
"""How often `cancelled()` is asked while nothing comes from the worker."""
NAMES = {"mllm": "director", "t2i": "painter"}

CancelCheck = Callable[[], bool]
StageCallback = Callable[[str], None]
"""Told where a load is: "starting" (the process), "importing" (libraries), "loading" (weights), "ready"."""


class WorkerBug(RuntimeError):
    """An exception nobody foresaw, raised inside a worker. Its traceback there is in this exception's notes."""


@dataclass(frozen=True)
class Wanted:
    """The model a request needs, and how it is to be loaded."""

    description: ModelDescription
    options: dict[str, Any] = field(default_factory=dict)

    def same(self, other: "Wanted | None") -> bool:
        """Whether one process serves both. A hash that became known since changes nothing in the process."""
        if other is None:
            return False
        plain = replace(self.description, sha256="")
        return plain == replace(other.description, sha256="") and self.options == other.options


def never() -> bool:
    """The cancel check of someone who never cancels."""
    return False


def ignore(_stage: str) -> None:
    """The stage callback of someone who does not watch."""


class Channel:
    """One worker at a time, and the requests to it. Any thread may call; requests wait for each other."""

    def __init__(self, kind: str, command: Sequence[str], log: Path | None, cancel_grace_s: float) -> None:
        """`cancel_grace_s`: a worker that has not stopped so long after a cancel is killed."""
        self.kind, self._command, self._log, self._grace = kind, command, log, cancel_grace_s
        self._turn_lock, self._owner = threading.Lock(), 0
        self._state_lock, self._closed = threading.Lock(), False
        self._process: WorkerProcess | None = None
        self._loaded: Wanted | None = None
        self._info: Any = None
        self._numbers = itertools.count(1)
        self._abandoned: tuple[int, float] | None = None
        """A request that is not over, and until when it may stop by itself once its caller has left."""

    # ---- what callers use
    def load(self, wanted: Wanted, on_stage: StageCallback = ignore, cancelled: CancelCheck = never) -> Any:
        """Have this model loaded, and return its info (JSON). Nothing happens if it already is.

        Raises Cancelled, BadModelError and other known errors of the loader, or WorkerDiedError.
        """
        with self._turn(cancelled):
            self._ensure(wanted, on_stage, cancelled)
            return self._info

    def stream(
        self, wanted: Wanted, method: str, params: dict[str, Any], cancelled: CancelCheck = never
    ) -> Generator[Frame, None, Any]:
        """Run a method with this model loaded; yields its events, returns its result.

        Closing the generator cancels the request. Raises Cancelled if the worker had to be killed to stop it, the
        worker's own known errors, WorkerDiedError if its process ended, WorkerBug for anything else.
        """
        with self._turn(cancelled):
            self._ensure(wanted, ignore, cancelled)
            return (yield from self._exchange(method, params, cancelled, self._grace))

    def call(self, wanted: Wanted, method: str, params: dict[str, Any]) -> Any:
        """Run a method that has a result and no events."""
        return drain(self.stream(wanted, method, params), ignore)

    def run(self, method: str, params: dict[str, Any], on_stage: StageCallback, cancelled: CancelCheck) -> Any:
        """Run a method that needs no loaded model; a cancel kills the worker at once."""
        with self._turn(cancelled):
            self._ensure(None, on_stage, cancelled)
            return drain(self._exchange(method, params, cancelled, grace=0), on_stage)

    def rss(self) -> int:
        """Resident memory of the worker in bytes; 0 if none runs."""
        process = self._process
        return process.rss() if process else 0

    def pid(self) -> int | None:
        """Process id of the worker, None if none runs."""
        process = self._process
        return process.pid if process else None

    def kill(self) -> None:
        """End a hung worker at once; a request in progress raises WorkerDiedError, the next one starts a new worker."""
        process = self._process
        if process:
            process.kill()

    def unload(self) -> None:
        """End the worker after the request in progress: the only way to free device memory that can be trusted."""
        with self._turn(never):
            self._drop()

    def close(self, timeout: float) -> None:
        """End for good. A request in progress raises Cancelled."""
        with self._state_lock:
            self._closed, process = True, self._process
        if process:
            process.end(timeout)

    # ---- one request at a time
    @contextlib.contextmanager
    def _turn(self, cancelled: CancelCheck) -> Iterator[None]:
        if self._owner == threading.get_ident():
            raise RuntimeError(f"the {self.kind} worker was asked for something in the middle of its own stream")
        while not self._turn_lock.acquire(timeout=POLL_S):
            if cancelled():
                raise Cancelled("Stopped.")
        self._owner = threading.get_ident()
        try:
            self._settle_abandoned(cancelled)
            yield
        finally:
            self._owner = 0
            self._turn_lock.release()

    def _settle_abandoned(self, cancelled: CancelCheck) -> None:
        """Wait for the end of a request whose caller went away; kill the worker if it does not come."""
        while self._abandoned and self._process:
            number, deadline = self._abandoned
            if time.monotonic() > deadline:
                self._drop()
            elif cancelled():
                raise Cancelled("Stopped.")
            else:
                with contextlib.suppress(queue.Empty):
                    frame = self._process.inbox.get(timeout=POLL_S)
                    if frame is None:
                        self._drop()
                    elif frame.message["id"] == number and frame.message["type"] != "event":
                        self._abandoned = None
        self._abandoned = None

    # ---- the process
    def _ensure(self, wanted: Wanted | None, on_stage: StageCallback, cancelled: CancelCheck) -> None:
        fits = wanted is None or wanted.same(self._loaded)
        if self._process and not (fits and self._process.alive()):
            self._drop()
        if self._process:
            return
        on_stage("starting")
        self._start()
        if wanted is not None:
            params = {"description": to_json(wanted.description), "options": wanted.options}
            try:
                self._info = drain(self._exchange("load", params, cancelled, grace=0), on_stage)
            except BaseException:
                self._drop()  # half a load is no state to go on from
                raise
            self._loaded = wanted
        on_stage("ready")

    def _start(self) -> None:
        with self._state_lock:
            if self._closed:
                raise Cancelled("Limner is closing.")
            try:
                self._process = WorkerProcess(self._command, self._log)
            except OSError as error:
                raise KnownError(f"The {NAMES[self.kind]}'s process cannot be started ({error.strerror}).") from error

    def _drop(self, timeout: float = 0) -> int | None:
        """End the process and forget what was loaded. Returns the exit status."""
        with self._state_lock:
            process, self._process = self._process, None
        self._loaded, self._abandoned = None, None
        return process.end(timeout) if process else None

    # ---- frames
    def _exchange(
        self, method: str, params: dict[str, Any], cancelled: CancelCheck, grace: float
    ) -> Generator[Frame, None, Any]:
        process = self._process
        if process is None:
            raise RuntimeError("no worker runs")
        number = next(self._numbers)
        process.send({"id": number, "method": method, "params": params})
        patience = _Patience(cancelled, grace)
        self._abandoned = (number, float("inf"))
        try:
            while True:
                frame = self._next(process)
                if frame is not None and frame.message["id"] == number:
                    if frame.message["type"] != "event":
                        self._abandoned = None
                        return _outcome(frame)
                    yield frame
                self._watch(process, number, patience)
        finally:
            if self._abandoned and self._process is process:  # the caller left, or its thread was interrupted
                process.send({"cancel": number})
                self._abandoned = (number, time.monotonic() + self._grace)

    def _watch(self, process: WorkerProcess, number: int, patience: "_Patience") -> None:
        """Pass a cancel on, and end a worker that does not heed it."""
        if patience.just_cancelled():
            process.send({"cancel": number})
        if patience.exhausted():
            self._drop()
            raise Cancelled("Stopped.")

    def _next(self, process: WorkerProcess) -> Frame | None:
        """The next frame; None if none came for a moment."""
        try:
            frame = process.inbox.get(timeout=POLL_S)
        except queue.Empty:
            return None
        if frame is None:
            raise self._death(process)
        return frame

    def _death(self, process: WorkerProcess) -> LimnerError:
        status, broken = self._drop(timeout=2), process.broken
        if self._closed:
            return Cancelled("Limner is closing.")
        error = WorkerDiedError(death_sentence(NAMES[self.kind], status, broken))
        if tail := process.tail():
            error.add_note(f"Last lines of {process.log}:\n{tail}")
        return error


class _Patience:
    """Asks `cancelled()` until it says yes, then counts the time."""

    def __init__(self, cancelled: CancelCheck, grace: float) -> None:
        self._cancelled, self._grace = cancelled, grace
        self._since: float | None = None

    def just_cancelled(self) -> bool:
        """True once, when the user has asked to stop."""
        if self._since is None and self._cancelled():
            self._since = time.monotonic()
            return True
        return False

    def exhausted(self) -> bool:
        """The worker has had its time to stop."""
        return self._since is not None and time.monotonic() - self._since >= self._grace


def drain(stream: Generator[Frame, None, Any], on_stage: StageCallback) -> Any:
    """Consume a stream whose only events are stages; returns its result."""
    while True:
        try:
            on_stage(next(stream).message["value"]["stage"])
        except StopIteration as end:
            return end.value


def _outcome(frame: Frame) -> Any:
    """The result in a final frame, or its error raised again as the class it was."""
    value = frame.message["value"]
    if frame.message["type"] == "result":
        return value
    if value["code"] == BUG:
        bug = WorkerBug(value["message"])
        bug.add_note("In the worker:\n" + value["traceback"])
        raise bug
    raise ERRORS.get(value["code"], LimnerError)(value["message"])


def death_sentence(who: str, status: int | None, broken: str = "") -> str:
    """What to tell the user about a worker that ended by itself. `status` negative: the signal."""
    why = "its process was ended" if status is None else f"exit code {status}"
    if broken:
        why = "its messages could not be read"
    elif status == -9:
        why = "signal 9: perhaps out of memory"
    elif status is not None and status < 0:
        why = f"signal {-status}: a fault inside a native library"
    elif status is not None and status >= 2**31:
        why = f"Windows error {status:#x}: a fault inside a native library"
    return f"The {who} stopped unexpectedly ({why}). Your words are safe: try again."
