"""Runs a callback-style pipeline as a generator: it works in a thread that moves only while its owner waits for it.

Library pipelines report steps through callbacks, and a generator cannot yield from a callback. Knows nothing of
pictures.
"""

import queue
import threading
from collections.abc import Callable, Generator
from typing import Any

from models.contracts import Cancelled

Report = Callable[[Any], None]
"""Called by the work after each piece; returns when the owner wants more, raises Cancelled when it does not."""


def hand_over(work: Callable[[Report], Any], cancelled: Callable[[], bool]) -> Generator[Any, None, Any]:
    """Yield what `work` reports, one at a time; the generator's return value is what `work` returns.

    `work` never runs while the owner does: the two take turns. After each piece `cancelled` is asked, in the owner's
    thread; if it is so, or if the generator is closed, Cancelled is raised inside `work` at the place where it reports.
    Exceptions of `work` come out here. Raises Cancelled.
    """
    pieces: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    go_on: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def report(piece: Any) -> None:
        pieces.put(("piece", piece))
        if not go_on.get():
            raise Cancelled

    def run() -> None:
        try:
            pieces.put(("result", work(report)))
        except BaseException as error:
            pieces.put(("error", error))

    thread = threading.Thread(target=run, name="pipeline", daemon=True)
    thread.start()
    try:
        while (message := pieces.get())[0] == "piece":
            yield message[1]
            if cancelled():
                raise Cancelled
            go_on.put(True)
    finally:
        go_on.put(False)  # read only if the work still waits in report()
        thread.join()
    if message[0] == "error":
        raise message[1]
    return message[1]
