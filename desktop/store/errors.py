"""Turns faults of the disk and of SQLite into one plain sentence. Knows no tables and no pictures.

Only faults of the user's environment are translated (full, read-only, locked, damaged, unplugged). Wrong SQL, broken
constraints and misuse are bugs of ours and propagate as they are.
"""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.contracts import StoreError

_FULL = "The disk that holds the library {folder} is full: free some space and try again; what was saved is safe."
_READ_ONLY = "The library {folder} cannot be written: allow writing to this folder, or choose another one."
_LOCKED = "Another program is busy with the library {folder}: close it and try again."
_IO = "The disk that holds the library {folder} does not answer as it should: check that it is connected and healthy."
_DAMAGED = (
    "The library's database {folder}/limner.sqlite is damaged and was left as it is: "
    "put back a copy from {folder}/backups or your own backup, or move the file away to start with an empty library."
)
_OTHER = "The library {folder} cannot be used ({reason}): check the folder, or choose another one."

_BY_ERRNO = {
    errno.ENOSPC: _FULL, errno.EDQUOT: _FULL, errno.EFBIG: _FULL,
    errno.EROFS: _READ_ONLY, errno.EACCES: _READ_ONLY, errno.EPERM: _READ_ONLY,
    errno.EIO: _IO, errno.ENODEV: _IO, errno.ENXIO: _IO, errno.ESTALE: _IO,
}  # fmt: skip

_BY_SQLITE = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY, sqlite3.SQLITE_CANTOPEN: _READ_ONLY, sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_BUSY: _LOCKED, sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_IOERR: _IO,
    sqlite3.SQLITE_NOTADB: _DAMAGED, sqlite3.SQLITE_CORRUPT: _DAMAGED,
}  # fmt: skip


def damaged(folder: Path) -> StoreError:
    """The sentence for a database file that is not one, or no longer one."""
    return StoreError(_DAMAGED.format(folder=folder))


def translate(error: OSError | sqlite3.Error, folder: Path) -> StoreError | None:
    """The known error behind `error`, or None if it is a bug of ours."""
    if isinstance(error, OSError):
        reason = error.strerror or type(error).__name__
        return StoreError(_BY_ERRNO.get(error.errno or 0, _OTHER).format(folder=folder, reason=reason))
    # Extended result codes keep the primary code in their low byte.
    sentence = _BY_SQLITE.get(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF)
    return StoreError(sentence.format(folder=folder)) if sentence else None


@contextmanager
def known_errors(folder: Path) -> Iterator[None]:
    """Raise StoreError instead of the environment's faults inside the block."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        known = translate(error, folder)
        if known is None:
            raise
        raise known from error
