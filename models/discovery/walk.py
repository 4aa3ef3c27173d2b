"""Walks model folders of any origin (Limner's, ComfyUI's, A1111's, LM Studio's, Ollama's, the Hugging Face cache).

Looks only as deep and as wide as models lie, follows links but no loop, and takes what it cannot read as not there.
"""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from models.contracts import ModelDescription
from models.discovery import manifest, ollama
from models.discovery.directors import describe_folder
from models.discovery.facts import FactCache
from models.discovery.painters import INDEX, SINGLE, candidates, describe_diffusers, describe_file, export_of, is_lora

MAX_DEPTH = 8
MAX_ENTRIES = 50_000
"""Entries looked at under one root: a home folder given by mistake must not hold up the window."""
SKIPPED = frozenset({
    "node_modules", "__pycache__", "venv", "site-packages", "embeddings", "vae", "vae_approx", "controlnet", "esrgan",
    "upscale_models", "clip_vision", "text_encoders", "textual_inversion", "hypernetworks", "style_models", "gligen",
})  # fmt: skip
"""Folders of other tools in which no director and no painter lies (names in lower case)."""


@dataclass
class Found:
    """What a walk brings home."""

    models: list[ModelDescription] = field(default_factory=list)
    loras: list[Path] = field(default_factory=list)


def walk(root: Path, cache: FactCache) -> Found:
    """All models under a folder, or the one in a file."""
    return _Walk(cache).root(root)


class _Walk:
    """One walk over one root. `found` fills up as it goes."""

    def __init__(self, cache: FactCache) -> None:
        self.found = Found()
        self._cache = cache
        self._seen: set[tuple[int, int]] = set()
        self._left = MAX_ENTRIES

    def root(self, path: Path) -> Found:
        """Look at a folder and everything in it, or at a single file."""
        if path.is_file():
            self._single(path)
        elif path.is_dir():
            self._folder(path, 0)
        return self.found

    def _single(self, path: Path) -> None:
        if path.suffix.lower() == ".gguf":
            siblings = [file for file in _entries(path.parent)[1] if file.suffix.lower() == ".gguf"]
            models = describe_folder(siblings, self._cache)
            self.found.models += [m for m in models if Path(m.path) == path]
        elif path.suffix.lower() in SINGLE and (model := describe_file(path, self._cache)):
            self.found.models.append(model)

    def _folder(self, folder: Path, depth: int) -> None:
        if depth > MAX_DEPTH or not self._first_visit(folder):
            return
        folders, files = _entries(folder)
        self._left -= len(folders) + len(files)
        names = {file.name for file in files}
        if manifest.NAME in names:
            self.found.models.append(manifest.describe(folder))
        elif INDEX in names:
            self._diffusers(folder)
        elif ollama.is_store(folder):
            self.found.models += ollama.describe_store(folder, self._cache)
        elif folder.name.startswith("models--"):
            self._snapshot(folder, depth)
        else:
            self._files(files)
            self._descend(folders, depth)

    def _diffusers(self, folder: Path) -> None:
        if not any(export_of(folder, Path(m.path).stem) for m in self.found.models):
            self.found.models.append(describe_diffusers(folder, _name(folder)))

    def _descend(self, folders: list[Path], depth: int) -> None:
        for folder in folders:
            if self._left <= 0:
                return
            if not folder.name.startswith(".") and folder.name.lower() not in SKIPPED:
                self._folder(folder, depth + 1)

    def _files(self, files: list[Path]) -> None:
        self.found.models += describe_folder([f for f in files if f.suffix.lower() == ".gguf"], self._cache)
        for file in candidates(files):
            if model := describe_file(file, self._cache):
                self.found.models.append(model)
            elif is_lora(file, self._cache):
                self.found.loras.append(file)

    def _snapshot(self, folder: Path, depth: int) -> None:
        """The Hugging Face cache keeps every revision; the one `main` names counts, else the newest."""
        revisions = _entries(folder / "snapshots")[0]
        try:
            main = (folder / "refs" / "main").read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            main = ""
        chosen = [r for r in revisions if r.name == main] or sorted(revisions, key=_changed)[-1:]
        before = len(self.found.models)
        self._descend(chosen, depth)
        self.found.models[before:] = [_with_blob_hash(model) for model in self.found.models[before:]]

    def _first_visit(self, folder: Path) -> bool:
        try:
            state = folder.stat()
        except OSError:
            return False
        key = (state.st_dev, state.st_ino)
        if state.st_ino and key in self._seen:
            return False
        self._seen.add(key)
        return True


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Folders and files in a folder, links followed, by name; nothing of a folder that cannot be read."""
    folders: list[Path] = []
    files: list[Path] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                kind = folders if _is_folder(entry) else files if _is_file(entry) else None
                if kind is not None:
                    kind.append(Path(entry.path))
    except OSError:
        return [], []
    return sorted(folders), sorted(files)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _name(folder: Path) -> str:
    """The folder's own name; in the Hugging Face cache the repository's."""
    repository = folder.parent.parent.name
    if folder.parent.name == "snapshots" and repository.startswith("models--"):
        return repository.removeprefix("models--").replace("--", "/", 1)
    return folder.name


def _with_blob_hash(model: ModelDescription) -> ModelDescription:
    """Large files of the Hugging Face cache are links to blobs that are named by their sha256."""
    blob = Path(os.path.realpath(model.path)).name
    is_hash = len(blob) == 64 and all(c in "0123456789abcdef" for c in blob)
    return replace(model, sha256=blob) if is_hash and not model.sha256 else model
