"""The library's folders and how a file gets into them so that a crash cannot tear it. Knows no SQL.

limner.sqlite  limner.lock  backups/  tmp/  orphans/
pictures/ab/<sha256>.png    what was drawn
uploads/ab/<sha256>.png     what the artist put in
"""

import hashlib
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from models.contracts import GenerationSpec, ImageRef

_NAME = re.compile(r"[0-9a-f]{64}\.png")
_BLOCK = 1 << 20


class Tree:
    """Paths below `root`, which must be absolute. Methods raise OSError."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = root / "limner.sqlite"
        self.lock = root / "limner.lock"
        self.pictures = root / "pictures"
        self.uploads = root / "uploads"
        self.tmp = root / "tmp"
        self.orphans = root / "orphans"
        self.backups = root / "backups"

    def make(self) -> None:
        """Create the folders that are always there."""
        for folder in (self.pictures, self.uploads, self.tmp):
            folder.mkdir(parents=True, exist_ok=True)

    def picture(self, sha256: str) -> Path:
        """Where a drawn picture lies."""
        return self.pictures / sha256[:2] / f"{sha256}.png"

    def upload(self, sha256: str) -> Path:
        """Where an uploaded picture lies."""
        return self.uploads / sha256[:2] / f"{sha256}.png"

    def write_temp(self, data: bytes) -> Path:
        """`data` in a new file on the library's own disk, flushed to the medium."""
        path = self.tmp / f"{secrets.token_hex(8)}.png"
        try:
            with path.open("xb") as file:
                file.write(data)
                file.flush()
                _sync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def settle(self, temp: Path, target: Path, sha256: str) -> None:
        """Move `temp` to `target` atomically and durably. The same content there already is kept."""
        if not target.parent.is_dir():
            target.parent.mkdir(exist_ok=True)
            sync_folder(target.parent.parent)
        if target.is_file() and sha256_of(target) == sha256:
            temp.unlink()
            return
        temp.replace(target)
        sync_folder(target.parent)

    def set_aside(self, path: Path) -> Path:
        """Move a file nobody knows to `orphans/`; it is never deleted."""
        self.orphans.mkdir(exist_ok=True)
        target = self.orphans / path.name
        path.replace(target)
        sync_folder(self.orphans)
        return target

    def hashes(self, folder: Path) -> Iterator[str]:
        """The names of the files below `pictures` or `uploads`; anything else there is not ours and is ignored."""
        with os.scandir(folder) as shelves:
            for shelf in sorted(s.path for s in shelves if s.is_dir() and len(s.name) == 2):
                with os.scandir(shelf) as entries:
                    yield from (e.name[:64] for e in entries if _NAME.fullmatch(e.name))

    # ---------------------------------------------------------------- paths in rows are relative: a library can move
    def pack(self, ref: ImageRef) -> ImageRef:
        """The reference with its path relative to the root, if it lies in the library."""
        path = Path(ref.path)
        inside = path.is_absolute() and path.is_relative_to(self.root)
        return replace(ref, path=path.relative_to(self.root).as_posix()) if inside else ref

    def unpack(self, ref: ImageRef) -> ImageRef:
        """The reverse of `pack`."""
        return replace(ref, path=str(self.root / ref.path))

    def pack_spec(self, spec: GenerationSpec) -> GenerationSpec:
        """The spec with `pack` applied to its pictures."""
        return _with_pictures(spec, self.pack)

    def unpack_spec(self, spec: GenerationSpec) -> GenerationSpec:
        """The reverse of `pack_spec`."""
        return _with_pictures(spec, self.unpack)


def _with_pictures(spec: GenerationSpec, change: Callable[[ImageRef], ImageRef]) -> GenerationSpec:
    init, mask = spec.init_image, spec.mask_image
    return replace(spec, init_image=init and change(init), mask_image=mask and change(mask))


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes, 64 hex digits. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def is_whole(path: Path, sha256: str) -> bool:
    """Whether the file is there, readable, and has exactly this content."""
    try:
        return sha256_of(path) == sha256
    except OSError:
        return False


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable. Windows cannot open folders and does not need it."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync(handle: int) -> None:
    if sys.platform == "darwin":  # fsync on macOS leaves the data in the drive's own cache
        import fcntl

        fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
    else:
        os.fsync(handle)
