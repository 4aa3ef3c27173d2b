"""GGUF files → MLLM descriptions: which are language models, which are vision towers, and which belong together.

Knows what their headers say; neither llama.cpp nor weights.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from models.contracts import BadModelError, ModelDescription
from models.discovery.facts import FactCache
from models.gguf_header import GgufHeader, read_gguf

PAINTERS = ("flux", "sd1", "sd3", "sdxl", "aura", "cosmos", "hidream", "hyvid", "ltxv", "lumina2", "qwen_image", "wan")
"""Architectures of diffusion models in GGUF form (other tools paint with those)."""
ENCODERS = ("bert", "nomic-bert", "jina-bert", "modern-bert", "t5encoder", "gemma-embedding")
"""Text encoders and embedding models: not for talking, and not worth a word."""
PROTOCOL_MARKS = {
    "dialoggen": "dialoggen",
    "minidalle3": "mini_dalle3",
    "seedllama": "seed_llama",
    "nextgpt": "next_gpt",
}
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
_FAMILY_PROJECTORS = {"qwen2vl": ("qwen2vl_merger", "qwen2.5vl_merger", "qwen2.5o"), "qwen3vl": ("qwen3vl_merger",)}


@dataclass(frozen=True)
class GgufFacts:
    """What matters of a header, small enough to be cached."""

    architecture: str = ""
    role: str = "model"  # "model" | "mmproj" | "adapter" | "encoder"
    width: int | None = None
    """Hidden size of a model; for an mmproj the width it hands over."""
    projector: str = ""
    license: str = ""
    problem: str = ""


def gguf_facts(path: Path, cache: FactCache) -> GgufFacts:
    """Facts of a GGUF file, from the cache if it has not changed. A damaged file has them too: its problem."""
    known = cache.get(path, "gguf")
    if isinstance(known, dict) and known.keys() == {f.name for f in fields(GgufFacts)}:
        return GgufFacts(**known)
    try:
        facts = _learn(read_gguf(path))
    except BadModelError as error:  # not cached: it may be a matter of rights
        return GgufFacts(problem=str(error))
    cache.put(path, "gguf", asdict(facts))
    return facts


def _learn(header: GgufHeader) -> GgufFacts:
    license_ = header.kv.get("general.license", "")
    return GgufFacts(
        architecture=header.architecture,
        role=_role(header),
        width=header.projection_length if header.is_mmproj else header.embedding_length,
        projector=_projector(header),
        license=license_ if isinstance(license_, str) else "",
        problem=_problem(header),
    )


def _role(header: GgufHeader) -> str:
    if header.is_mmproj:
        return "mmproj"
    if header.is_adapter:
        return "adapter"
    pooled = f"{header.architecture}.pooling_type" in header.kv
    return "encoder" if pooled or header.architecture.startswith(ENCODERS) else "model"


def _projector(header: GgufHeader) -> str:
    """ "qwen2vl_merger", "mlp"…; newer files state one per modality, very old Qwen files a flag."""
    for key in ("clip.projector_type", "clip.vision.projector_type"):
        if isinstance(value := header.kv.get(key), str):
            return value
    return "qwen2vl_merger" if header.kv.get("clip.has_qwen2vl_merger") else ""


def _problem(header: GgufHeader) -> str:
    name = Path(header.path).name
    if header.is_mmproj or header.is_adapter:
        return ""
    if header.architecture in PAINTERS:
        return (
            f"{name} is a painter in GGUF form ({header.architecture}), which Limner cannot paint with: "
            "use the model's .safetensors file or its diffusers folder."
        )
    if any(tensor.startswith(("v.blk.", "v.patch_embd")) for tensor in header.tensors):
        return f"{name} has its vision part inside, which llama.cpp cannot use: get a GGUF with a separate mmproj file."
    if not header.architecture:
        return f"{name} does not say which architecture it has; get another conversion of the model."
    return ""


def describe_folder(files: Sequence[Path], cache: FactCache) -> list[ModelDescription]:
    """The MLLMs among the GGUF files of one folder, each with the mmproj that fits it best; towers that fit none, and
    damaged files, with their problem. An encoder or adapter is not listed."""
    facts = {path: gguf_facts(path, cache) for path in sorted(files)}
    towers = {path: fact for path, fact in facts.items() if fact.role == "mmproj"}
    models = {path: fact for path, fact in facts.items() if fact.role == "model" and _is_first_shard(path)}
    found = [describe_model(path, fact, best_tower(path, fact, towers)) for path, fact in models.items()]
    healthy = [fact for fact in models.values() if not fact.problem]
    return found + [
        _lonely(path, tower, healthy) for path, tower in towers.items() if not any(fits(m, tower) for m in healthy)
    ]


def describe_model(path: Path, facts: GgufFacts, mmproj: Path | None) -> ModelDescription:
    """The description of a language model, with a vision tower or without."""
    shards = _shards(path)
    parts = [*shards, mmproj] if mmproj else shards
    return ModelDescription(
        name=_SHARD.sub("", path.stem),
        kind="t2i" if facts.architecture in PAINTERS else "mllm",
        path=str(path),
        format="gguf",
        family=facts.architecture,
        bytes=sum(part.stat().st_size for part in parts if part.is_file()),
        license=facts.license,
        languages=("en", "zh") if facts.architecture.startswith("qwen") else ("en",),
        protocol=_protocol(path.stem),
        mmproj=str(mmproj) if mmproj else None,
        problem=facts.problem or _missing_shard(shards),
    )


def fits(model: GgufFacts, tower: GgufFacts) -> bool:
    """The tower hands over vectors as wide as the model's, and is of its family where a family has its own."""
    if tower.problem or (model.width and tower.width and model.width != tower.width):
        return False
    for family, projectors in _FAMILY_PROJECTORS.items():
        if tower.projector and (model.architecture.startswith(family) or tower.projector in projectors):
            return model.architecture.startswith(family) and tower.projector in projectors
    return True


def best_tower(path: Path, facts: GgufFacts, towers: dict[Path, GgufFacts]) -> Path | None:
    """The fitting mmproj whose name shares most with the model's; of equals the fp16 one, then the first."""
    fitting = [tower for tower, tower_facts in towers.items() if fits(facts, tower_facts)]
    if facts.problem or not fitting:
        return None
    words = _words(path)
    return max(sorted(fitting, reverse=True), key=lambda t: (len(words & _words(t)), "f16" in t.stem.lower()))


def mismatch(model: GgufFacts, tower: GgufFacts) -> str:
    """Why a tower does not fit a model, as half a sentence."""
    if model.width and tower.width and model.width != tower.width:
        return f"it hands over vectors of {tower.width} numbers where the model takes {model.width}"
    return f"it is a {tower.projector or 'nameless'} tower and the model is a {model.architecture}"


def _lonely(path: Path, tower: GgufFacts, models: Sequence[GgufFacts]) -> ModelDescription:
    why = "its language model (another .gguf file) is not beside it: put both into one folder"
    if models:
        why = f"{mismatch(models[0], tower)}: get the mmproj made for that model"
    problem = tower.problem or f"{path.name} is only the vision half of a director, and {why}."
    return ModelDescription(path.stem, "mllm", str(path), "gguf", "clip", bytes=path.stat().st_size, problem=problem)


def _words(path: Path) -> set[str]:
    return {word for word in re.split(r"[^a-z0-9.]+", path.stem.lower()) if word not in ("mmproj", "model", "gguf")}


def _protocol(stem: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", stem.lower())
    return next((protocol for mark, protocol in PROTOCOL_MARKS.items() if mark in plain), "")


def _is_first_shard(path: Path) -> bool:
    shard = _SHARD.search(path.stem)
    return shard is None or int(shard[1]) == 1


def _shards(path: Path) -> list[Path]:
    shard = _SHARD.search(path.stem)
    if shard is None:
        return [path]
    stem, count = path.stem[: shard.start()], int(shard[2])
    return [path.with_name(f"{stem}-{n:05}-of-{count:05}.gguf") for n in range(1, min(count, 999) + 1)]


def _missing_shard(shards: Sequence[Path]) -> str:
    absent = next((shard.name for shard in shards if not shard.is_file()), "")
    return f"{absent} is missing; all {len(shards)} parts of the model belong in one folder." if absent else ""
