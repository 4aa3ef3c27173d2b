"""What a single .safetensors checkpoint is, read from its header alone: names, types and shapes of its tensors.

Standard library only, so that the registry can ask without importing torch. Never reads a weight.
"""

import json
import struct
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from models.contracts import BadModelError

PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
HEADER_LIMIT = 100_000_000  # bytes; the format's own limit
DTYPE_BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip

UNET = "model.diffusion_model."
SD1_TEXT = "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight"
SD2_TEXT = "cond_stage_model.model.token_embedding.weight"
SDXL_TEXT = (
    "conditioner.embedders.0.transformer.text_model.embeddings.position_embedding.weight",
    "conditioner.embedders.1.model.positional_embedding",
)
VAE = "first_stage_model.decoder.conv_in.weight"
CONTEXT = "attn2.to_k.weight"


@dataclass(frozen=True)
class Header:
    """The header of a safetensors file. `shapes` by tensor name; `elements` is the number of weights in all."""

    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def elements(self) -> int:
        """Weights in the whole file."""
        return sum(prod(shape) for shape in self.shapes.values())

    @property
    def bytes(self) -> int:
        """Size of the tensors as they lie on disk."""
        return sum(prod(shape) * DTYPE_BYTES.get(self.dtypes[name], 4) for name, shape in self.shapes.items())


@dataclass(frozen=True)
class SingleFile:
    """A recognised checkpoint. `config` names its folder in resources/t2i; prediction is "" where only a probe can
    tell."""

    family: str  # "sd" | "sdxl"
    config: str  # "sd15" | "sd21" | "sdxl"
    prediction: str  # "epsilon" | "v_prediction" | ""
    zero_terminal_snr: bool
    header: Header


def refuse_pickle(path: Path) -> None:
    """Raise BadModelError for the file types that can run code when they are opened."""
    if path.suffix.lower() in PICKLES:
        raise BadModelError(
            f"{path.name} is a pickle, a file that can run any program when it is opened, so Limner does not load it: "
            "look for the same model as .safetensors."
        )


def read_header(path: Path) -> Header:
    """The header of a safetensors file. Raises BadModelError if the file is missing, cut short or not safetensors."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else HEADER_LIMIT + 1
            raw = file.read(length) if length <= min(HEADER_LIMIT, size) else b""
    except OSError as error:
        raise BadModelError(f"{path.name} cannot be read ({error.strerror}); check that the file is there.") from None
    try:
        fields = json.loads(raw)
        header, end = _parse_header(fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadModelError(f"{path.name} is not a safetensors file, or it is damaged; download it again.") from None
    if size != 8 + length + end:
        raise BadModelError(
            f"{path.name} is incomplete: {size:,} bytes lie here where {8 + length + end:,} should be; download "
            f"it again."
        )
    return header


def _parse_header(fields: dict[str, Any]) -> tuple[Header, int]:
    metadata = {str(k): str(v) for k, v in fields.pop("__metadata__", {}).items()}
    shapes = {name: tuple(int(n) for n in entry["shape"]) for name, entry in fields.items()}
    dtypes = {name: str(entry["dtype"]) for name, entry in fields.items()}
    end = max((int(entry["data_offsets"][1]) for entry in fields.values()), default=0)
    return Header(shapes, dtypes, metadata), end


def recognise(path: Path) -> SingleFile:
    """Which painter a .safetensors file holds. Raises BadModelError with one sentence for everything Limner cannot
    paint with."""
    refuse_pickle(path)
    header = read_header(path)
    _refuse_others(path.name, header.shapes)
    config = _text_encoder_family(path.name, header.shapes)
    _require_parts(path.name, header.shapes, config)
    prediction, zero_snr = _prediction(header, config, path.stem.lower())
    return SingleFile("sdxl" if config == "sdxl" else "sd", config, prediction, zero_snr, header)


def _refuse_others(name: str, shapes: dict[str, tuple[int, ...]]) -> None:
    what = _other_kind(shapes)
    if what:
        raise BadModelError(f"{name} {what}.")


OTHERS = (
    (("lora_", ".lora"),
     "is a LoRA, an addition to a painter: choose the painter it was made for and add this file to it"),
    (("joint_blocks.",), "is a Stable Diffusion 3 checkpoint, which Limner cannot paint with: use SD 1.5, 2.1 or SDXL"),
    (("double_blocks.",), "is a Flux checkpoint, which Limner cannot paint with: use SD 1.5, SD 2.1 or SDXL"),
    (("control_model.", "controlnet_cond_embedding."),
     "is a ControlNet, not a painter: choose an SD 1.5, SD 2.1 or SDXL checkpoint"),
    (("motion_modules.",), "is a video add-on, not a painter: choose an SD 1.5, SD 2.1 or SDXL checkpoint"),
    (("conditioner.embedders.0.model.",),
     "is the SDXL refiner, which cannot paint on its own: choose the SDXL base checkpoint"),
)  # fmt: skip
"""What else comes as .safetensors: marks in tensor names, and what to say."""


def _other_kind(shapes: dict[str, tuple[int, ...]]) -> str:
    for marks, sentence in OTHERS:
        if any(mark in name for mark in marks for name in shapes):
            return sentence
    inputs = shapes.get(UNET + "input_blocks.0.0.weight")
    if inputs is None:
        return "holds no painter that Limner knows: use an SD 1.5, 2.1 or SDXL checkpoint with all parts in one file"
    if len(inputs) != 4 or inputs[1] != 4:
        kind = {9: "an inpainting", 8: "an instruct-pix2pix"}.get(inputs[1] if len(inputs) == 4 else 0, "a special")
        return (
            f"is {kind} checkpoint, which cannot paint from words alone: use the ordinary checkpoint of the same model"
        )
    return ""


def _text_encoder_family(name: str, shapes: dict[str, tuple[int, ...]]) -> str:
    if all(key in shapes for key in SDXL_TEXT):
        return "sdxl"
    if SD1_TEXT in shapes:
        return "sd15"
    if SD2_TEXT in shapes:
        return "sd21"
    raise BadModelError(
        f"{name} has no text encoder inside: use the full checkpoint (U-Net, text encoder and VAE in one file)."
    )


def _require_parts(name: str, shapes: dict[str, tuple[int, ...]], config: str) -> None:
    if VAE not in shapes:
        raise BadModelError(
            f"{name} has no VAE inside: use the full checkpoint (U-Net, text encoder and VAE in one file)."
        )
    if config == "sdxl" and UNET + "label_emb.0.0.weight" not in shapes:
        raise BadModelError(
            f"{name} has SDXL's text encoders but another U-Net: use an unmodified SDXL base checkpoint."
        )


def _prediction(header: Header, config: str, stem: str) -> tuple[str, bool]:
    """(prediction type, zero terminal SNR), from marks in the file, its metadata or its name; "" for an unmarked SD
    2.x."""
    zero_snr = "ztsnr" in header.shapes
    said = header.metadata.get("modelspec.prediction_type", "").lower()
    architecture = header.metadata.get("modelspec.architecture", "").lower()
    if "v_pred" in header.shapes or said.startswith("v") or architecture.endswith("768-v"):
        return "v_prediction", zero_snr
    if said.startswith("eps") or config == "sd15" or config == "sdxl":
        return "epsilon", zero_snr
    if "768-v" in stem or "_768" in stem or "vpred" in stem:
        return "v_prediction", zero_snr
    return "", zero_snr


def check_shapes(name: str, header: Header, unet: dict[str, Any], vae: dict[str, Any]) -> None:
    """Compare a few telling shapes with the configuration. Raises BadModelError at the first that does not fit."""
    width, context = unet["block_out_channels"][0], unet["cross_attention_dim"]
    expected: dict[str, tuple[int, ...]] = {
        UNET + "input_blocks.0.0.weight": (width, unet["in_channels"], 3, 3),
        UNET + "out.2.weight": (unet["out_channels"], width, 3, 3),
        VAE: (vae["block_out_channels"][-1], vae["latent_channels"], 3, 3),
    }
    for key, shape in expected.items():
        if header.shapes.get(key) != shape:
            raise _misfit(name, key, header.shapes.get(key), shape)
    for key, shape in header.shapes.items():
        if key.startswith(UNET) and key.endswith(CONTEXT) and shape[-1] != context:
            raise _misfit(name, key, shape, (shape[0], context))


def _misfit(name: str, key: str, found: tuple[int, ...] | None, expected: tuple[int, ...]) -> BadModelError:
    return BadModelError(
        f"{name} does not fit its family: {key} is {found or 'missing'} where {expected} is needed; use an "
        f"unmodified checkpoint."
    )
