"""What was learned about a file, remembered by its path, size and time: header facts and sha256.

A JSON file in a cache folder; losing it costs time and nothing else.
"""

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.contracts import Cancelled

CACHE_NAME = "models-v1.json"
Progress = Callable[[int, int], None]
"""progress(bytes done, bytes in all)."""


def no_progress(_done: int, _total: int) -> None:
    """For callers who do not watch."""


def never() -> bool:
    """For callers who do not cancel."""
    return False


class FactCache:
    """Facts by file state. Without a folder it remembers for the life of the object. Thread-safe."""

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / CACHE_NAME if folder else None
        self._lock = threading.Lock()
        self._facts: dict[str, dict[str, Any]] = read_json_object(self._path) if self._path else {}
        self._changed = False

    def get(self, path: Path, what: str) -> Any:
        """A fact, or None if the file has changed since or it was never learned."""
        key = _key(path)
        with self._lock:
            facts = self._facts.get(key) if key else None
            return facts.get(what) if isinstance(facts, dict) else None

    def put(self, path: Path, what: str, value: Any) -> None:
        """Remember a fact (JSON-able) until the file changes."""
        key = _key(path)
        if key:
            with self._lock:
                self._facts.setdefault(key, {})[what] = value
                self._changed = True

    def save(self) -> None:
        """Write what was learned. A cache that cannot be written is no error."""
        with self._lock:
            if self._path and self._changed:
                with contextlib.suppress(OSError):
                    write_json(self._path, self._facts)
                self._changed = False


def _key(path: Path) -> str:
    try:
        state = path.stat()
    except OSError:
        return ""
    return f"{path.absolute()}|{state.st_size}|{state.st_mtime_ns}"


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of our own; {} if it is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old or the new file, never half of one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    temporary.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
    temporary.replace(path)


def hash_file(path: Path, progress: Progress = no_progress, cancelled: Callable[[], bool] = never) -> str:
    """sha256 of a file in hex. Raises OSError, or Cancelled."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        total = os.fstat(file.fileno()).st_size
        while chunk := file.read(1 << 22):
            if cancelled():
                raise Cancelled("Stopped.")
            digest.update(chunk)
            done += len(chunk)
            progress(done, total)
    return digest.hexdigest()


def folder_identity(hashes: dict[str, str]) -> str:
    """One sha256 for a folder: over its files' names and hashes, sorted. Only files that change a picture count."""
    lines = [f"{sha256}  {name}\n" for name, sha256 in sorted(hashes.items()) if counts(name)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def counts(name: str) -> bool:
    """Weights, configs and vocabularies count; cards, pictures and the ONNX export of the same weights do not."""
    return not name.startswith("onnx/") and name.endswith((".safetensors", ".json", ".txt", ".model"))
