"""Words that are typed or sent but not yet in the store, so that a crash cannot take them.

A small JSON file in the home folder: the composer's text per session, and messages that wait for the engine. Knows
neither the engine nor widgets.
"""

import json
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QSaveFile, QTimer

WRITE_AFTER_MS = 400


class Drafts(QObject):
    """Composer texts by session id ("" = a conversation that is not yet begun) and waiting messages by job id."""

    def __init__(self, file: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._file = file
        self._typed: dict[str, str] = {}
        self._waiting: dict[str, dict[str, str]] = {}
        self._timer = QTimer(self, singleShot=True, interval=WRITE_AFTER_MS)
        self._timer.timeout.connect(self.flush)
        self._read()

    def typed(self, session_id: str) -> str:
        """What stands in the composer of a session."""
        return self._typed.get(session_id, "")

    def set_typed(self, session_id: str, text: str) -> None:
        """Remember the composer's text; written to disk a moment later."""
        if text == self.typed(session_id):
            return
        if text:
            self._typed[session_id] = text
        else:
            self._typed.pop(session_id, None)
        self._timer.start()

    def sent(self, job_id: str, session_id: str, text: str) -> None:
        """A message left the composer; on disk before this returns, until `committed`."""
        self._waiting[job_id] = {"session": session_id, "text": text}
        self.flush()

    def committed(self, job_id: str) -> None:
        """The message is a turn in the store now (or was taken back)."""
        if self._waiting.pop(job_id, None) is not None:
            self._timer.start()

    def flush(self) -> None:
        """Write now, by replacing the file whole. A full or read-only disk is not worth disturbing the artist for."""
        self._timer.stop()
        target = QSaveFile(str(self._file))
        if not target.open(QSaveFile.OpenModeFlag.WriteOnly):
            return
        words = {"typed": self._typed, "waiting": self._waiting}
        target.write(json.dumps(words, ensure_ascii=False).encode())
        target.commit()

    def _read(self) -> None:
        try:
            words: Any = json.loads(self._file.read_text(encoding="utf-8"))
            self._typed = {str(k): str(v) for k, v in words["typed"].items()}
            left = [(str(w["session"]), str(w["text"])) for w in words["waiting"].values()]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return
        for session_id, text in left:  # the last run ended before the store had them: back into the composer
            self._typed[session_id] = "\n".join(filter(None, (self.typed(session_id), text)))
