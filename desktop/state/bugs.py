"""Reports of our own mistakes, written to a local file and shown in a dialog. Nothing is sent anywhere.

Knows how to describe an exception; knows neither the engine nor widgets.
"""

import platform
import sys
import threading
import time
import traceback
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QObject, Signal, qVersion


class BugReports(QObject):
    """Writes reports into `folder`; `written` carries the report's path ("" if it could not be written) and text."""

    written = Signal(str, str)

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._folder = folder

    def install(self) -> None:
        """Take every uncaught exception, of any thread, from now on."""
        sys.excepthook = self._uncaught
        threading.excepthook = lambda a: self._uncaught(a.exc_type, a.exc_value or a.exc_type(), a.exc_traceback)

    def report(self, error: BaseException) -> str:
        """Write a report and announce it. Safe from any thread. Returns the path, "" if it could not be written."""
        text = describe(error)
        path = self._write(text)
        sys.stderr.write(text)
        self.written.emit(path, text)
        return path

    def _uncaught(self, kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, _trace)
            return
        self.report(error)

    def _write(self, text: str) -> str:
        name = time.strftime("report-%Y%m%d-%H%M%S") + f"-{time.monotonic_ns() % 1000:03}.txt"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / name).write_text(text, encoding="utf-8")
        except OSError:
            return ""
        return str(self._folder / name)


def describe(error: BaseException) -> str:
    """The report: versions, the system, the traceback. No words of the artist, no environment."""
    head = (
        "Limner bug report (kept on this machine)",
        time.strftime("%Y-%m-%d %H:%M:%S %z"),
        f"Python {platform.python_version()}, Qt {qVersion()}, {platform.platform()}",
    )
    return "\n".join(head) + "\n\n" + "".join(traceback.format_exception(error))
