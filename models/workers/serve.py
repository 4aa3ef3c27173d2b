"""The worker's side of the pipe: takes requests, runs them one by one on the main thread, sends events and results.

Knows the messages, not the models: what a method does is the business of the `Handlers` it is given.

    parent → worker   {"id", "method", "params"}      {"cancel": id}
    worker → parent   {"id", "type": "event" | "result" | "error", "value"}   (payload: an event's bytes)
"""

import contextlib
import faulthandler
import logging
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from models.contracts import Cancelled, LimnerError, OutOfMemoryError, to_json
from models.workers.ipc import Frame, FrameError, encode, read_frames, write_all

BUG = "bug"
"""Wire code of an exception nobody foresaw."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """One request as a handler sees it."""

    params: dict[str, Any]
    cancelled: Callable[[], bool]
    """True once the parent has asked to stop."""
    emit: Callable[..., None]
    """emit(value, payload=b"") sends an event of this request."""


Handlers = Mapping[str, Callable[[Call], Any]]
"""Method name → what it does. The return value (JSON-able, or a dataclass of contracts) is the result."""


def serve(make_handlers: Callable[[], Handlers]) -> NoReturn:
    """Run a worker until its parent closes the pipe, then leave the process. Called before anything prints."""
    source, sink = claim_pipes()
    prepare_process()
    Server(source, sink, make_handlers()).run()
    _leave(0)


def claim_pipes() -> tuple[int, int]:
    """Move stdin and stdout to private descriptors, so that a native library's print lands in the log instead.

    Afterwards descriptor 0 reads nothing and descriptor 1 is stderr.
    """
    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    if sys.stdout is None or sys.stderr is None:  # a packaged app without a console
        sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    return source, sink


def prepare_process() -> None:
    """Crash traces into the log, no sockets, no interruption from the terminal: the parent decides when to stop."""
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.addaudithook(_refuse_network)


def _refuse_network(event: str, _args: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        raise PermissionError("Limner opens no network connections.")


class Server:
    """Reads frames on one thread and runs requests on the caller's: the only thread that ever touches a model."""

    def __init__(self, source: int, sink: int, handlers: Handlers) -> None:
        self._source, self._sink, self._handlers = source, sink, handlers
        self._requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._cancelled: set[int] = set()

    def run(self) -> NoReturn:
        """Serve for ever; the process ends when the reader sees the parent gone."""
        threading.Thread(target=self._read, name="worker-reader", daemon=True).start()
        while True:
            self._answer(self._requests.get())

    def _read(self) -> None:
        try:
            for frame in read_frames(self._source):
                if "cancel" in frame.message:
                    self._cancelled.add(frame.message["cancel"])
                else:
                    self._requests.put(frame.message)
        except FrameError:
            log.exception("the parent sent something that is no frame")
            _leave(2)
        except OSError:
            log.exception("the pipe from the parent broke")
        _leave(0)  # at once, in the middle of whatever the main thread does: nobody waits for it any more

    def _answer(self, request: dict[str, Any]) -> None:
        number = request["id"]
        call = Call(
            params=request.get("params", {}),
            cancelled=lambda: number in self._cancelled,
            emit=lambda value, payload=b"": self._send(number, "event", value, payload),
        )
        try:
            value = self._handlers[request["method"]](call)
        except Exception as error:
            self._send(number, "error", describe_error(error))
        else:
            self._send(number, "result", value)
        self._cancelled.discard(number)

    def _send(self, number: int, kind: str, value: Any, payload: bytes = b"") -> None:
        frame = Frame({"id": number, "type": kind, "value": to_json(value)}, payload)
        try:
            write_all(self._sink, encode(frame))
        except OSError:
            _leave(0)  # the parent is gone


def describe_error(error: Exception) -> dict[str, str]:
    """{"code", "message"} of a known error; anything else is a bug and carries its traceback, also into the log."""
    if isinstance(error, Cancelled) or (isinstance(error, LimnerError) and error.code != LimnerError.code):
        return {"code": error.code, "message": str(error)}
    if _is_memory_error(error):
        message = "There is not enough memory for this. Close other programs, or choose a smaller model or picture."
        log.error("out of memory", exc_info=error)
        return {"code": OutOfMemoryError.code, "message": message}
    log.error("a bug", exc_info=error)
    trace = "".join(traceback.format_exception(error))
    return {"code": BUG, "message": f"{type(error).__name__}: {error}", "traceback": trace}


def _is_memory_error(error: Exception) -> bool:
    """By name too: torch's own class cannot be imported here, and its CPU allocator raises a plain RuntimeError."""
    text = str(error)
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in text
        or "Failed to allocate memory for requested buffer" in text
    )


def _leave(status: int) -> NoReturn:
    """End the process without clean-up: native threads may hang in theirs."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(status)
