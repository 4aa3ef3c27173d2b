"""Looks at an MLLM's files before llama.cpp does, and says in a sentence what is wrong with them.

llama.cpp ends the process on some damaged or mismatched files; what is checked here never gets that far. Reads headers
only.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from models.contracts import BadModelError, ModelDescription
from models.gguf_header import GgufHeader, read_gguf

_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


@dataclass(frozen=True)
class ModelFiles:
    """The checked files of an MLLM."""

    model: GgufHeader
    mmproj: GgufHeader | None
    adapters: tuple[Path, ...]


def check_files(description: ModelDescription) -> ModelFiles:
    """Check the GGUF, its mmproj and its adapters, each by itself and against each other.

    Raises BadModelError with what to do. A vision model without its mmproj is no fault: it talks, but cannot see.
    """
    model = _language_half(Path(description.path))
    mmproj = _vision_half(Path(description.mmproj), model) if description.mmproj else None
    for adapter in description.adapters:
        _check_adapter(Path(adapter), model)
    return ModelFiles(model, mmproj, tuple(Path(a) for a in description.adapters))


def _language_half(path: Path) -> GgufHeader:
    header = read_gguf(path)
    if header.is_mmproj:
        raise BadModelError(
            f"{path.name} is only the vision part (mmproj) of a model; choose the language model's GGUF and give this "
            "file as its mmproj."
        )
    if header.is_adapter:
        raise BadModelError(f"{path.name} is a LoRA adapter; choose the model it was made for and add it there.")
    _check_split(path)
    if not header.architecture or not header.embedding_length:
        raise BadModelError(f"{path.name} holds no language model; choose a GGUF of a chat model.")
    if "tokenizer.ggml.tokens" not in header.kv:
        raise BadModelError(f"{path.name} has no tokenizer; convert the model again with a current converter.")
    return header


def _check_split(path: Path) -> None:
    if not (match := _SPLIT.search(path.name)):
        return
    base, count = path.name[: match.start()], int(match[2])
    if int(match[1]) != 1:
        raise BadModelError(f"{path.name} is a later part of a split model; choose its part 00001-of-{match[2]}.")
    for part in range(2, count + 1):
        other = path.with_name(f"{base}-{part:05d}-of-{match[2]}.gguf")
        if not other.is_file():
            raise BadModelError(f"{other.name} is missing; put all {count} parts of the model into one folder.")
        read_gguf(other)


def _vision_half(path: Path, model: GgufHeader) -> GgufHeader:
    header = read_gguf(path)
    if not header.is_mmproj:
        raise BadModelError(
            f"{path.name} is not a vision part (mmproj) but a {header.architecture or 'language'} model; choose the "
            f"mmproj file that belongs to {Path(model.path).name}."
        )
    if not header.kv.get("clip.has_vision_encoder", False):
        raise BadModelError(f"{path.name} has no vision encoder; choose an mmproj that sees pictures.")
    _check_pair(header, model)
    return header


def _check_pair(mmproj: GgufHeader, model: GgufHeader) -> None:
    eye, mind = Path(mmproj.path).name, Path(model.path).name
    wide, needed = mmproj.projection_length, model.embedding_length
    if wide is not None and wide != needed:
        raise BadModelError(
            f"{eye} does not belong to {mind}: its output is {wide} wide, the model takes {needed}; "
            "choose the mmproj that came with the model."
        )
    projector = str(mmproj.kv.get("clip.projector_type", mmproj.kv.get("clip.vision.projector_type", "")))
    if "qwen" in projector and "vl" in projector and not has_picture_positions(model):
        raise BadModelError(
            f"{eye} is the vision part of a Qwen-VL model, but {mind} is a {model.architecture} model; "
            "choose a Qwen-VL model for it."
        )


def _check_adapter(path: Path, model: GgufHeader) -> None:
    header = read_gguf(path)
    if not header.is_adapter or not any(name.endswith(".lora_a") for name in header.tensors):
        raise BadModelError(f"{path.name} is not a LoRA adapter in GGUF form; convert it or remove it.")
    if header.architecture != model.architecture:
        raise BadModelError(
            f"The adapter {path.name} is for {header.architecture} models, but {Path(model.path).name} is a "
            f"{model.architecture}; remove it."
        )


def has_picture_positions(model: GgufHeader) -> bool:
    """Whether the language model counts positions as Qwen-VL does (M-RoPE): it was made to see."""
    return f"{model.architecture}.rope.dimension_sections" in model.kv
