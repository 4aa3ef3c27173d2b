"""Which models there are, which one sits in a chair by default, and whether a model is whole.

Finds them through `models.discovery` in folders it is given and in those the artist added. Knows headers and hashes;
never loads a model, imports neither torch nor llama.cpp, and changes nothing in a folder that is not its own.
"""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from models.contracts import BadModelError, ModelDescription, StoreError
from models.discovery import manifest
from models.discovery.directors import fits, gguf_facts, mismatch
from models.discovery.facts import (
    FactCache,
    Progress,
    counts,
    folder_identity,
    hash_file,
    never,
    no_progress,
    read_json_object,
    write_json,
)
from models.discovery.walk import Found, walk
from models.gguf_header import read_gguf
from models.t2i.layout import check_folder, check_onnx_folder
from models.t2i.single_file import recognise

T = TypeVar("T")

STARTER = "limner-starter"
"""Names of the models that come with Limner begin so."""
KINDS = ("mllm", "t2i")


def known_folders() -> list[Path]:
    """Model folders of other tools that exist on this machine: the Hugging Face cache, Ollama, LM Studio."""
    home = Path.home()
    hub = os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", home / ".cache/huggingface")) / "hub"
    ollama = os.environ.get("OLLAMA_MODELS") or home / ".ollama/models"
    places = [hub, ollama, home / ".lmstudio/models", home / ".cache/lm-studio/models"]
    return [path for path in map(Path, places) if path.is_dir()]


class Registry:
    """The models in some folders. Thread-safe; scanning is quick enough to do again whenever a list is shown."""

    def __init__(self, folders: Sequence[Path], *, settings: Path | None = None, cache: Path | None = None) -> None:
        """`settings`: the JSON file that remembers the artist's folders and choices; ONNX exports made by Limner lie in
        `onnx/` beside it. `cache`: folder for header facts and hashes. Without them nothing is remembered."""
        self._folders = [Path(folder).absolute() for folder in folders]
        self._settings = settings
        self._cache = FactCache(cache)
        self._lock = threading.RLock()
        self._found: Found | None = None
        self._memory: dict[str, object] = {}

    # ---------------------------------------------------------------- find
    def scan(self) -> list[ModelDescription]:
        """Look at every folder again. Models in the order of their folders, each once, with unique names per kind;
        those that cannot be loaded as they lie there have a `problem`."""
        with self._lock:
            found = Found()
            for root in [*self._folders, *self._added()]:
                part = walk(root, self._cache)
                found.models += part.models
                found.loras += part.loras
            found.models = _unique([self._finished(model) for model in found.models])
            self._found = found
            self._cache.save()
            return list(found.models)

    def loras(self) -> list[Path]:
        """LoRA files for painters, as the last scan found them."""
        self._models()
        return sorted(set(self._found.loras)) if self._found else []

    def find(self, name: str, kind: str) -> ModelDescription | None:
        """The model of that name (or path), whole or with its problem; upper and lower case do not matter."""
        for models in (self._models, self.scan):  # a model may have been copied in since the last scan
            mine = [model for model in models() if model.kind == kind]
            for same in (str.__eq__, lambda a, b: a.casefold() == b.casefold()):
                if match := next((m for m in mine if same(m.name, name) or same(m.path, name)), None):
                    return match
        return None

    def default(self, kind: str) -> ModelDescription | None:
        """The artist's choice if it is there, else the starter model, else the first whole one; None without any."""
        chosen = self._read("defaults", dict).get(kind)
        if chosen and (model := self.find(str(chosen), kind)):
            return model
        mine = [model for model in self._models() if model.kind == kind]
        ranked = sorted(mine, key=lambda m: (bool(m.problem), not m.name.startswith(STARTER)))
        return ranked[0] if ranked else None

    # ---------------------------------------------------------------- the artist's choices
    def add(self, path: Path) -> list[ModelDescription]:
        """Remember a file or folder where it lies, and return the models in it.

        Raises BadModelError, in one sentence, for what is no model or cannot be used, and StoreError if it cannot be
        remembered.
        """
        path = Path(os.path.abspath(path))  # noqa: PTH100 - keeps links: other tools' folders are used as named
        with self._lock:
            models = [self._finished(model) for model in walk(path, self._cache).models]
            if all(model.problem for model in models):
                raise BadModelError(models[0].problem if models else _no_model(path))
            if path not in [*self._folders, *self._added()]:
                self._write("paths", [*map(str, self._added()), str(path)])
            names = {model.path: model for model in self.scan()}
            return [names.get(model.path, model) for model in models]

    def remove(self, path: Path | str) -> bool:
        """Forget a file or folder that was added (nothing is deleted); False if it was not remembered."""
        with self._lock:
            gone = Path(os.path.abspath(path))  # noqa: PTH100
            kept = [added for added in self._added() if added != gone]
            changed = len(kept) < len(self._added())
            if changed:
                self._write("paths", [str(added) for added in kept])
                self.scan()
            return changed

    def set_default(self, name: str | None, kind: str) -> None:
        """Choose the model of a chair; None goes back to the starter. Raises BadModelError for an unknown name."""
        if name is not None and self.find(name, kind) is None:
            raise BadModelError(f"There is no model “{name}”; “limner models list” shows what is installed.")
        chosen = {**self._read("defaults", dict), kind: name}
        self._write("defaults", {k: v for k, v in chosen.items() if v})

    # ---------------------------------------------------------------- identity and health
    def identify(
        self, model: ModelDescription, progress: Progress = no_progress, cancelled: Callable[[], bool] = never
    ) -> ModelDescription:
        """The description with its sha256: stated by a manifest, remembered, or computed now (seconds per gigabyte).

        Raises Cancelled, or BadModelError if a file cannot be read.
        """
        if model.sha256 or model.problem:
            return model
        path = Path(model.path)
        try:
            if path.is_dir():
                names = sorted(f.relative_to(path).as_posix() for f in path.rglob("*") if f.is_file())
                hashes = {name: self._hash(path / name, progress, cancelled) for name in names if counts(name)}
                sha256 = folder_identity(hashes)
            else:
                sha256 = self._hash(path, progress, cancelled)
        except OSError as error:
            raise BadModelError(f"{model.name} cannot be read ({error.strerror}).") from error
        finally:
            self._cache.save()
        return replace(model, sha256=sha256)

    def verify(
        self, model: ModelDescription, progress: Progress = no_progress, cancelled: Callable[[], bool] = never
    ) -> list[str]:
        """What is wrong with a model, one sentence each: parts, headers, the pair, every hash that is written down."""
        problems = [model.problem] if model.problem else []
        problems += _problems(lambda: _check_parts(model))
        problems += _problems(lambda: _check_pair(model))
        problems += self._wrong_hashes(model, progress, cancelled)
        return list(dict.fromkeys(problems))

    def _wrong_hashes(self, model: ModelDescription, progress: Progress, cancelled: Callable[[], bool]) -> list[str]:
        wrong = []
        for path, stated in _stated_hashes(model):
            try:
                if hash_file(path, progress, cancelled) != stated:
                    wrong.append(f"{path.name} is not the file it was: its sha256 has changed; copy the model again.")
            except OSError as error:
                wrong.append(f"{path.name} cannot be read ({error.strerror}).")
        return wrong

    def _hash(self, path: Path, progress: Progress, cancelled: Callable[[], bool]) -> str:
        known = self._cache.get(path, "sha256")
        if known is None:
            known = hash_file(path, progress, cancelled)
            self._cache.put(path, "sha256", known)
        return str(known)

    # ---------------------------------------------------------------- own memory
    def _models(self) -> list[ModelDescription]:
        found = self._found
        return list(found.models) if found else self.scan()

    def _finished(self, model: ModelDescription) -> ModelDescription:
        """With what only this registry knows: an export it made itself, and a hash it has computed before."""
        if model.kind == "t2i" and model.onnx is None and self._settings and not model.problem:
            export = self._settings.parent / "onnx" / model.name
            model = replace(model, onnx=str(export) if not _problems(lambda: check_onnx_folder(export)) else None)
        if not model.sha256 and (known := self._cache.get(Path(model.path), "sha256")):
            model = replace(model, sha256=str(known))
        return model

    def _added(self) -> list[Path]:
        return [Path(path) for path in self._read("paths", list) if isinstance(path, str)]

    def _read(self, key: str, kind: type[T]) -> T:
        stored = read_json_object(self._settings) if self._settings else self._memory
        value = stored.get(key)
        return value if isinstance(value, kind) else kind()

    def _write(self, key: str, value: object) -> None:
        with self._lock:
            if self._settings is None:
                self._memory[key] = value
                return
            try:
                write_json(self._settings, {**read_json_object(self._settings), key: value})
            except OSError as error:
                raise StoreError(f"{self._settings} cannot be written ({error.strerror}).") from error


def _unique(models: Iterable[ModelDescription]) -> list[ModelDescription]:
    """Each file or folder once, and no name twice in a kind: the second gets its folder's name in brackets."""
    found: dict[str, ModelDescription] = {}
    taken: set[tuple[str, str]] = set()
    for model in models:
        key = os.path.realpath(model.path)
        if key not in found:
            found[key] = model = replace(model, name=_free_name(model, taken))
            taken.add((model.kind, model.name))
    return list(found.values())


def _free_name(model: ModelDescription, taken: set[tuple[str, str]]) -> str:
    name = model.name
    if (model.kind, name) in taken:
        name = f"{model.name} ({Path(model.path).parent.name})"
    number = 2
    while (model.kind, name) in taken:
        name = f"{model.name} ({number})"
        number += 1
    return name


def _no_model(path: Path) -> str:
    if not path.exists():
        return f"{path} does not exist; check the path."
    if path.is_dir():
        return f"In {path} there is no model: Limner uses GGUF files, .safetensors checkpoints and diffusers folders."
    if path.suffix == ".safetensors" and (why := _problems(lambda: recognise(path))):
        return why[0]
    return f"{path.name} is no model that Limner can use: it uses GGUF, .safetensors and diffusers folders."


def _problems(check: Callable[[], object]) -> list[str]:
    try:
        check()
    except BadModelError as error:
        return [str(error)]
    except OSError as error:
        return [f"{error.filename or 'A file'} cannot be read ({error.strerror})."]
    return []


def _check_parts(model: ModelDescription) -> None:
    path = Path(model.path)
    if model.format == "gguf":
        read_gguf(path)
    elif model.format == "single_file":
        recognise(path)
    elif model.onnx != model.path:  # else it is an export without torch weights
        check_folder(path)
    if model.onnx:
        check_onnx_folder(Path(model.onnx))


def _check_pair(model: ModelDescription) -> None:
    if model.mmproj is None:
        return
    read_gguf(Path(model.mmproj))
    facts, tower = gguf_facts(Path(model.path), FactCache(None)), gguf_facts(Path(model.mmproj), FactCache(None))
    if tower.role != "mmproj":
        raise BadModelError(f"{Path(model.mmproj).name} is no vision half: get the mmproj file of {model.name}.")
    if not facts.problem and not fits(facts, tower):
        raise BadModelError(
            f"{Path(model.mmproj).name} does not fit {model.name}: {mismatch(facts, tower)}; "
            "get the mmproj made for it."
        )


def _stated_hashes(model: ModelDescription) -> list[tuple[Path, str]]:
    """Files whose sha256 is written down: by a manifest, or as the name of a blob (Hugging Face, Ollama)."""
    path = Path(model.path)
    folder = path if path.is_dir() else path.parent
    if (folder / manifest.NAME).is_file():
        try:
            files = manifest.read_manifest(folder).files
        except BadModelError:
            return []  # already a problem
        stated = [(folder / name, str(entry["sha256"])) for name, entry in files.items() if "sha256" in entry]
        return [(file, sha256) for file, sha256 in stated if file.is_file()]
    files_of = [path, *([Path(model.mmproj)] if model.mmproj else [])]
    blobs = [(file, Path(os.path.realpath(file)).name.removeprefix("sha256-")) for file in files_of if file.is_file()]
    return [(file, name) for file, name in blobs if len(name) == 64]
