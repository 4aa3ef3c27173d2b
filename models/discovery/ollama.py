"""Ollama's store, used in place: manifests name blobs, and a model's blob is a GGUF file.

Knows the layout of ~/.ollama/models: manifests/<host>/<namespace>/<name>/<tag> and blobs/sha256-<hex>.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from models.contracts import ModelDescription
from models.discovery.directors import describe_model, fits, gguf_facts, mismatch
from models.discovery.facts import FactCache

_LAYER = "application/vnd.ollama.image."
_MAX_MANIFEST = 1_000_000


def is_store(folder: Path) -> bool:
    """Looks like the models folder of Ollama."""
    return (folder / "manifests").is_dir() and (folder / "blobs").is_dir()


def describe_store(folder: Path, cache: FactCache) -> list[ModelDescription]:
    """Every language model Ollama has here, under the name its user knows ("qwen2.5vl:7b")."""
    found = []
    for manifest in sorted((folder / "manifests").glob("*/*/*/*")):
        layers = dict(_layers(manifest))
        if "model" in layers:
            blobs = {kind: folder / "blobs" / digest.replace(":", "-") for kind, digest in layers.items()}
            found.append(_describe(_name(manifest), blobs, layers["model"], cache))
    return [model for model in found if model is not None]


def _layers(manifest: Path) -> Iterator[tuple[str, str]]:
    """("model" | "projector" | "adapter" | …, digest) of each layer; nothing if the manifest cannot be read."""
    try:
        if manifest.stat().st_size > _MAX_MANIFEST:
            return
        layers = json.loads(manifest.read_text(encoding="utf-8"))["layers"]
        for layer in layers:
            kind, digest = str(layer["mediaType"]), str(layer["digest"])
            if kind.startswith(_LAYER) and digest.startswith("sha256:") and digest[7:].isalnum():
                yield kind.removeprefix(_LAYER), digest
    except (OSError, ValueError, KeyError, TypeError):
        return


def _name(manifest: Path) -> str:
    namespace, name, tag = manifest.parts[-3:]
    return f"{name}:{tag}" if namespace == "library" else f"{namespace}/{name}:{tag}"


def _describe(name: str, blobs: dict[str, Path], digest: str, cache: FactCache) -> ModelDescription | None:
    facts = gguf_facts(blobs["model"], cache)
    if facts.role != "model":
        return None
    tower, problem = blobs.get("projector"), ""
    if tower:
        tower_facts = gguf_facts(tower, cache)
        if not fits(facts, tower_facts):
            problem = tower_facts.problem or f"The vision half of {name} does not fit: {mismatch(facts, tower_facts)}."
    described = describe_model(blobs["model"], facts, tower)
    adapters = (str(blobs["adapter"]),) if "adapter" in blobs else ()
    return replace(
        described,
        name=name,
        sha256=digest.removeprefix("sha256:"),
        adapters=adapters,
        problem=(described.problem or problem).replace(blobs["model"].name, name),
    )
