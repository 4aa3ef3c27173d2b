"""Diffusers folders, .safetensors checkpoints and pickles → T2I descriptions.

What makes a folder or a checkpoint whole is said by `models.t2i.layout` and `models.t2i.single_file`; this knows how
they lie on disk beside other files.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from models.contracts import BadModelError, ModelDescription
from models.discovery.facts import FactCache
from models.t2i.layout import check_folder, check_onnx_folder, family_of, read_json
from models.t2i.single_file import PICKLES, UNET, read_header, recognise, refuse_pickle

INDEX = "model_index.json"
SINGLE = (".safetensors", *PICKLES)
"""Suffixes of files that are, or claim to be, a whole painter."""
LORA_MARKS = ("lora_up.", "lora_down.", "lora_A.", "lora_B.", ".lora.", "hada_w", "lokr_w")
PAINTER_MARKS = (UNET, "joint_blocks.", "double_blocks.", "cond_stage_model.", "conditioner.embedders.")
"""Prefixes or parts of tensor names by which a .safetensors file is (part of) a painter and worth listing."""
_LANGUAGES = {"hunyuandit": ("en", "zh")}


def describe_diffusers(folder: Path, name: str) -> ModelDescription:
    """A folder with model_index.json; with `problem` if a part is missing, damaged, or of an unknown family."""
    onnx = own_onnx(folder)
    family, problem = "", ""
    try:
        family = check_folder(folder).family
    except BadModelError as error:
        family, problem = _family(folder), str(error)
        if _is_export(folder):  # an ONNX export alone paints too
            onnx, problem = _check_export(folder)
    return ModelDescription(
        name=name,
        kind="t2i",
        path=str(folder),
        format="diffusers",
        family=family,
        bytes=_weight_bytes(folder),
        languages=_LANGUAGES.get(family, ("en",)),
        onnx=onnx,
        problem=problem,
    )


def _family(folder: Path) -> str:
    with contextlib.suppress(BadModelError):
        index = read_json(folder, INDEX)
        return family_of(folder, {**index, "_class_name": str(index.get("_class_name", "")).removeprefix("ORT")})
    return ""


def _is_export(folder: Path) -> bool:
    return (folder / "unet" / "model.onnx").is_file()


def _check_export(folder: Path) -> tuple[str | None, str]:
    try:
        check_onnx_folder(folder)
    except BadModelError as error:
        return None, str(error)
    return str(folder), ""


def own_onnx(folder: Path) -> str | None:
    """The whole ONNX export inside a diffusers folder (onnx/) or beside a model (<name>-onnx), if there is one."""
    for candidate in (folder / "onnx", folder.with_name(f"{folder.name}-onnx")):
        if candidate.is_dir() and (path := _check_export(candidate)[0]):
            return path
    return None


def export_of(path: Path, name: str) -> bool:
    """This folder is the export of a model of that name beside it, and needs no line of its own."""
    return path.name == f"{name}-onnx" and _is_export(path)


def _weight_bytes(folder: Path) -> int:
    with contextlib.suppress(OSError):
        return sum(f.stat().st_size for f in folder.glob("*/*") if f.suffix in (".safetensors", ".onnx", ".onnx_data"))
    return 0


def describe_file(path: Path, cache: FactCache) -> ModelDescription | None:
    """A single .safetensors file or pickle; None if it is no painter nor meant to be one (LoRA, VAE, text encoder…)."""
    facts = _facts(path, cache)
    if facts["role"] != "checkpoint":
        return None
    return ModelDescription(
        name=path.stem,
        kind="t2i",
        path=str(path),
        format="single_file",
        family=facts["family"],
        bytes=path.stat().st_size,
        onnx=own_onnx(path.with_suffix("")),
        problem=facts["problem"],
    )


def is_lora(path: Path, cache: FactCache) -> bool:
    """A LoRA for a painter."""
    return _facts(path, cache)["role"] == "lora"


def _facts(path: Path, cache: FactCache) -> dict[str, str]:
    facts: dict[str, str] | None = cache.get(path, "painter")
    if not isinstance(facts, dict):
        facts = _learn(path)
        if facts["role"] != "checkpoint" or facts["family"]:  # a problem may be gone tomorrow: a matter of rights
            cache.put(path, "painter", facts)
    return facts


def _learn(path: Path) -> dict[str, str]:
    """{"role": "checkpoint" | "lora" | "other", "family", "problem"}."""
    found = {"role": "checkpoint", "family": "", "problem": ""}
    try:
        refuse_pickle(path)
        names = list(read_header(path).shapes)
    except BadModelError as error:
        return {**found, "problem": str(error)}
    if any(mark in name for name in names for mark in LORA_MARKS):
        return {**found, "role": "lora"}
    if not any(mark in name for name in names for mark in PAINTER_MARKS):
        return {**found, "role": "other"}
    try:
        return {**found, "family": recognise(path).family}
    except BadModelError as error:
        return {**found, "problem": str(error)}


def candidates(files: Sequence[Path]) -> Iterator[Path]:
    """The files of an ordinary folder that may be painters. Beside a config.json they are parts of something else."""
    if any(file.name == "config.json" for file in files):
        return
    yield from (file for file in files if file.suffix.lower() in SINGLE)
