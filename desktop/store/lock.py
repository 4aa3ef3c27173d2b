"""One Limner per library folder: an operating-system lock that vanishes with its process. Knows no contents.

A pid file would survive a kill and lock the artist out; the lock of an open file never does.
"""

import sys
from pathlib import Path
from typing import BinaryIO

from models.contracts import StoreError


class FolderLock:
    """Held from construction to `release`. Raises StoreError if another Limner holds it, OSError if it cannot be made.

    The file itself stays when the lock is released: removing it would let two processes lock two different files.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO | None = path.open("ab")
        try:
            _lock(self._file)
        except BlockingIOError:
            self.release()
            raise StoreError(
                f"Another Limner is using the library {path.parent}: close it first, or choose another folder."
            ) from None
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give the folder free. Safe to call twice."""
        if self._file is not None:
            self._file.close()
            self._file = None


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        """Raises BlockingIOError if another process has the lock (Windows reports EACCES or EDEADLK)."""
        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(str(error)) from error

else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        """Raises BlockingIOError if another process, or this one, has the lock.

        flock, not lockf: POSIX record locks are lost as soon as any handle of the process on the file is closed.
        """
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
