"""One worker process seen from the parent: start it, send it frames, take its frames, know how it ended.

Knows neither models nor methods; `proxies` speaks with the worker through this.
"""

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import psutil

import models
from models.workers.ipc import Frame, FrameError, encode, read_frames, write_all

LOG_BYTES = 1_000_000
"""A log larger than this is moved aside at the next start of its worker."""
LOG_KEPT = 3

_spawning = threading.Lock()
"""Two processes started at once could inherit each other's pipe ends (Windows); a worker would then miss its EOF."""


def worker_command(kind: str) -> list[str]:
    """How to start a worker of this kind, in a source tree and in a packaged app.

    -P keeps the current folder off the module path: an artist may well start Limner in a folder that has a `models`.
    """
    if getattr(sys, "frozen", False):
        return [sys.executable, "--worker", kind]
    return [sys.executable, "-P", "-m", "models.workers.worker", kind]


def worker_environment() -> dict[str, str]:
    """The parent's environment, with this very copy of `models` first on the path."""
    root = str(Path(models.__file__).parent.parent)
    paths = [root, os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}


class WorkerProcess:
    """A running worker. Pipes are read and written on threads of its own, so that no call here ever blocks on one."""

    def __init__(self, command: Sequence[str], log: Path | None) -> None:
        """Start it. stderr is appended to `log`, or dropped without one. Raises OSError if it cannot start."""
        self.log = log
        self.inbox: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        """Frames from the worker; None at the end, once and for all."""
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.broken = ""
        """What was wrong with the stream, if it did not simply end."""
        with _open_log(log) as errors, _spawning:
            self._process = _spawn(command, errors)
        self._threads = [
            threading.Thread(target=target, name=f"worker-{name}", daemon=True)
            for name, target in (("reader", self._read), ("writer", self._write))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message. If the worker is gone the end of `inbox` tells. Raises FrameError if it is too large."""
        self._outbox.put(encode(Frame(message)))

    def alive(self) -> bool:
        """Not yet ended. A killed process of several threads is a zombie for a moment before it can be waited for."""
        if self._process.poll() is not None:
            return False
        try:
            return bool(psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False

    def rss(self) -> int:
        """Resident memory in bytes, 0 if it has ended."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def end(self, timeout: float) -> int:
        """Close its pipe, at which it leaves; kill it if it is still there after `timeout` seconds.

        Returns the exit status (negative: the signal), and leaves neither threads nor descriptors behind.
        """
        self._outbox.put(None)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
        status = self._process.wait()
        for thread in self._threads:
            thread.join(timeout=5)
        return status

    def kill(self) -> None:
        """End it at once; `end` must still be called."""
        self._process.kill()

    def tail(self, lines: int = 60) -> str:
        """The last lines of its log, for the report of a fault."""
        if self.log is None:
            return ""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
        return ""

    def _read(self) -> None:
        stream = _pipe(self._process.stdout)
        try:
            for frame in read_frames(stream.fileno()):
                self.inbox.put(frame)
        except (FrameError, OSError) as error:
            self.broken = str(error)
            self._process.kill()
        finally:
            stream.close()
            self.inbox.put(None)

    def _write(self) -> None:
        stream = _pipe(self._process.stdin)
        with contextlib.suppress(OSError):  # the worker is gone: the reader reports it
            while (data := self._outbox.get()) is not None:
                write_all(stream.fileno(), data)
        stream.close()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise RuntimeError("the worker was started without pipes")
    return stream


def _spawn(command: Sequence[str], errors: IO[bytes] | None) -> subprocess.Popen[bytes]:
    """A session of its own on POSIX, a group on Windows: Ctrl-C in the terminal reaches the parent only."""
    windows = sys.platform == "win32"
    flags = (subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW) if windows else 0  # type: ignore[attr-defined, unused-ignore]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors if errors is not None else subprocess.DEVNULL,
        bufsize=0,
        env=worker_environment(),
        start_new_session=not windows,
        creationflags=flags,
    )


def _open_log(log: Path | None) -> contextlib.AbstractContextManager[IO[bytes] | None]:
    if log is None:
        return contextlib.nullcontext()
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        _rotate(log)
        return log.open("ab")
    except OSError:  # a log that cannot be written must not keep anyone from drawing
        return contextlib.nullcontext()


def _rotate(log: Path) -> None:
    if not log.exists() or log.stat().st_size < LOG_BYTES:
        return
    for number in range(LOG_KEPT, 0, -1):
        older = log.with_name(f"{log.name}.{number - 1}") if number > 1 else log
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number}"))
