"""Is a diffusers folder whole? Reads model_index.json, configs and safetensors headers; never a weight.

Standard library only, so that the registry can ask without importing torch.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.contracts import BadModelError
from models.t2i.single_file import PICKLES, Header, read_header

FAMILIES = {
    "StableDiffusionPipeline": "sd",
    "StableDiffusionImg2ImgPipeline": "sd",
    "LatentConsistencyModelPipeline": "sd",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusionXLImg2ImgPipeline": "sdxl",
    "HunyuanDiTPipeline": "hunyuandit",
}
"""Pipeline class in model_index.json → family. All of an SD family are opened as its text-to-image pipeline."""

PARTS = {
    "sd": ("unet", "vae", "text_encoder", "tokenizer", "scheduler"),
    "sdxl": ("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler"),
    "hunyuandit": ("transformer", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler"),
}
WEIGHTED = ("unet", "transformer", "vae", "text_encoder", "text_encoder_2")
ONNX_PARTS = ("unet", "vae_decoder", "text_encoder")


@dataclass(frozen=True)
class FolderLayout:
    """A checked diffusers folder. `variant` is "fp16" if some part has only files of that variant, else None."""

    family: str
    variant: str | None
    headers: dict[str, tuple[Header, ...]]
    """By weighted part, the headers of the files that will be loaded."""

    @property
    def bytes(self) -> dict[str, int]:
        """Bytes of each weighted part on disk."""
        return {part: sum(h.bytes for h in headers) for part, headers in self.headers.items()}


def check_folder(folder: Path) -> FolderLayout:
    """Raises BadModelError, naming the file or part, if anything is missing, cut short, a pickle or of an unknown
    family."""
    index = read_json(folder, "model_index.json")
    family = family_of(folder, index)
    for part in PARTS[family]:
        _check_part(folder, part, index)
    files = {part: _weight_files(folder, part) for part in WEIGHTED if part in PARTS[family]}
    variant = next((v for part_files in files.values() if (v := _variant(part_files))), None)
    headers = {part: tuple(read_header(f) for f in part_files) for part, part_files in files.items()}
    return FolderLayout(family, variant, headers)


def check_onnx_folder(folder: Path) -> str:
    """The family of an exported ONNX pipeline. Raises BadModelError if a part is missing."""
    index = read_json(folder, "model_index.json")
    name = str(index.get("_class_name", "")).removeprefix("ORT")
    family = family_of(folder, {**index, "_class_name": name})
    parts = ONNX_PARTS + (("text_encoder_2",) if family == "sdxl" else ())
    for part in parts:
        if not (folder / part / "model.onnx").is_file():
            raise BadModelError(f"The ONNX export {folder.name} lacks {part}/model.onnx; export the painter again.")
        read_json(folder, f"{part}/config.json")
    return family


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON object inside the folder. Raises BadModelError naming the file."""
    try:
        value = json.loads((folder / name).read_text(encoding="utf-8"))
    except OSError:
        raise BadModelError(f"{folder.name} has no {name}; copy the whole folder of the model again.") from None
    except ValueError:
        raise BadModelError(f"{folder.name}/{name} is damaged; copy the whole folder of the model again.") from None
    if not isinstance(value, dict):
        raise BadModelError(f"{folder.name}/{name} is damaged; copy the whole folder of the model again.")
    return value


def family_of(folder: Path, index: dict[str, Any]) -> str:
    """The family named in model_index.json. Raises BadModelError if Limner cannot paint with it."""
    name = str(index.get("_class_name", ""))
    if name not in FAMILIES:
        raise BadModelError(
            f"{folder.name} is a {name or 'nameless pipeline'}, which Limner cannot paint with: "
            "use a Stable Diffusion 1.5, 2.1, SDXL or HunyuanDiT text-to-image folder."
        )
    return FAMILIES[name]


def _check_part(folder: Path, part: str, index: dict[str, Any]) -> None:
    entry = index.get(part)
    if not isinstance(entry, list) or entry[0] is None or not (folder / part).is_dir():
        raise BadModelError(f"{folder.name} lacks its part {part!r}; copy the whole folder of the model again.")
    if part == "scheduler":
        read_json(folder, "scheduler/scheduler_config.json")
    elif part in WEIGHTED:
        read_json(folder, f"{part}/config.json")
    elif not any((folder / part).iterdir()):
        raise BadModelError(f"{folder.name}/{part} is empty; copy the whole folder of the model again.")


def _weight_files(folder: Path, part: str) -> list[Path]:
    """The safetensors files of a part: plain if there are any, else of one variant; all shards of an index."""
    found = sorted((folder / part).glob("*.safetensors"))
    plain = [f for f in found if "." not in f.stem]
    chosen = plain or [f for f in found if f.stem.split(".")[-1] == found[0].stem.split(".")[-1]]
    if not chosen:
        raise _no_weights(folder, part)
    for index in (folder / part).glob("*.safetensors.index*.json"):
        shards = set(read_json(folder, f"{part}/{index.name}").get("weight_map", {}).values())
        if missing := sorted(s for s in shards if not (folder / part / s).is_file()):
            raise BadModelError(f"{folder.name}/{part} lacks {missing[0]}; copy the whole folder of the model again.")
    return chosen


def _no_weights(folder: Path, part: str) -> BadModelError:
    pickles = sorted(f.name for f in (folder / part).iterdir() if f.suffix.lower() in PICKLES)
    if pickles:
        return BadModelError(
            f"{folder.name}/{part} has only {pickles[0]}, a pickle that can run any program when it is opened, "
            f"so Limner does "
            "not load it: get the same model with .safetensors files."
        )
    return BadModelError(f"{folder.name}/{part} has no .safetensors file; copy the whole folder of the model again.")


def _variant(files: list[Path]) -> str | None:
    """ "fp16" for diffusion_pytorch_model.fp16.safetensors and for its shards (…fp16-00001-of-00002…)."""
    stem = files[0].stem
    return stem.split(".")[-1].split("-")[0] if "." in stem else None
