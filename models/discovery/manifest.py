"""`limner-model.json`: what a folder made for Limner says about itself.

    {"schema": 1, "name", "kind": "mllm"|"t2i", "protocol", "languages", "license", "model", "mmproj", "onnx",
     "adapters", "family", "defaults", "limits", "files": {relative path: {"sha256", "bytes"}}}

"model" is a file, or missing for a diffusers folder. Hashes are not checked here: `Registry.verify` does that.
"""

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.contracts import BadModelError, ModelDescription
from models.discovery.facts import folder_identity
from models.gguf_header import read_architecture
from models.t2i.layout import check_onnx_folder, family_of, read_json

NAME = "limner-model.json"
_TEXTS = ("name", "kind", "protocol", "license", "model", "mmproj", "onnx", "family")


@dataclass(frozen=True)
class Manifest:
    """A manifest whose values have the right shapes and whose paths stay inside its folder."""

    folder: Path
    name: str
    kind: str
    protocol: str = ""
    license: str = ""
    model: str = ""
    mmproj: str = ""
    onnx: str = ""
    family: str = ""
    languages: tuple[str, ...] = ("en",)
    adapters: tuple[str, ...] = ()
    defaults: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """What a worker opens: the model file, or the folder."""
        return self.folder / self.model if self.model else self.folder

    @property
    def sha256(self) -> str:
        """Identity of the weights as the manifest states it: of the model file, or of the folder; "" without."""
        if self.model:
            return str(self.files.get(self.model, {}).get("sha256", ""))
        hashes = {name: str(entry.get("sha256", "")) for name, entry in self.files.items()}
        return folder_identity(hashes) if hashes else ""


def read_manifest(folder: Path) -> Manifest:
    """Raises BadModelError if it cannot be read, has values of the wrong shape, or points outside its folder."""
    try:
        data = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return _checked(folder, data)
    except OSError as error:
        raise _bad(folder, f"it cannot be read ({error.strerror})") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _bad(folder, str(error)) from None


def _bad(folder: Path, why: str) -> BadModelError:
    return BadModelError(f"{folder.name}/{NAME} is damaged ({why}); copy the model's folder again.")


def _checked(folder: Path, data: dict[str, Any]) -> Manifest:
    texts = {key: data[key] for key in _TEXTS if data.get(key) is not None}
    if bad := [key for key, value in texts.items() if not isinstance(value, str)]:
        raise ValueError(f"{bad[0]!r} is not a text")
    if data.get("kind") not in ("mllm", "t2i") or not data.get("name"):
        raise ValueError("it needs a name and a kind, mllm or t2i")
    if texts.get("model") in (".", "./"):
        texts["model"] = ""
    manifest = Manifest(
        folder,
        **texts,
        languages=tuple(str(v) for v in data.get("languages", ["en"])),
        adapters=tuple(str(v) for v in data.get("adapters", [])),
        defaults=dict(data.get("defaults", {})),
        limits=dict(data.get("limits", {})),
        files={str(name): dict(entry) for name, entry in data.get("files", {}).items()},
    )
    for name in (manifest.model, manifest.mmproj, manifest.onnx, *manifest.adapters, *manifest.files):
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"{name!r} lies outside the folder")
    return manifest


def describe(folder: Path) -> ModelDescription:
    """The model a manifest folder holds; with `problem` if its files are not all there in the stated sizes."""
    try:
        manifest = read_manifest(folder)
    except BadModelError as error:
        return ModelDescription(folder.name, "t2i", str(folder), "diffusers", problem=str(error))
    problem, family = missing(manifest), manifest.family
    if not problem:
        try:
            family = family or _family(manifest)
        except BadModelError as error:
            problem = str(error)
    return _description(manifest, family, problem)


def _description(manifest: Manifest, family: str, problem: str) -> ModelDescription:
    folder = manifest.folder
    return ModelDescription(
        name=manifest.name,
        kind=manifest.kind,
        path=str(manifest.path),
        format=_format(manifest),
        family=family,
        sha256=manifest.sha256,
        bytes=sum(int(entry.get("bytes", 0)) for entry in manifest.files.values()),
        license=manifest.license,
        languages=manifest.languages,
        protocol=manifest.protocol,
        mmproj=str(folder / manifest.mmproj) if manifest.mmproj else None,
        adapters=tuple(str(folder / name) for name in manifest.adapters),
        onnx=_onnx(manifest),
        defaults=manifest.defaults,
        limits=manifest.limits,
        problem=problem,
    )


def missing(manifest: Manifest) -> str:
    """One sentence about the first file that is not there or has another size than stated; "" if all are."""
    needed = [manifest.model, manifest.mmproj, *manifest.adapters, *manifest.files]
    for name in filter(None, needed):
        path, stated = manifest.folder / name, manifest.files.get(name, {}).get("bytes")
        try:
            size = path.stat().st_size
        except OSError:
            return f"{manifest.name} lacks {name}; copy the model's folder again."
        if stated is not None and stated != size:
            return f"{manifest.name}: {name} has {size:,} bytes instead of {stated:,}; copy the model's folder again."
    return ""


def _format(manifest: Manifest) -> str:
    if manifest.model.endswith(".gguf") or (manifest.kind == "mllm"):
        return "gguf"
    return "single_file" if manifest.model else "diffusers"


def _family(manifest: Manifest) -> str:
    if manifest.kind == "mllm":
        return read_architecture(manifest.path)
    if manifest.model:
        return ""
    return family_of(manifest.folder, read_json(manifest.folder, "model_index.json"))


def _onnx(manifest: Manifest) -> str | None:
    folder = manifest.folder / (manifest.onnx or "onnx")
    with contextlib.suppress(BadModelError):
        if manifest.kind == "t2i" and folder.is_dir():
            check_onnx_folder(folder)
            return str(folder)
    return None
