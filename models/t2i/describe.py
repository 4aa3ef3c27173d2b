"""Says what a loaded painter is and can do: its limits, defaults and tokenizers, from its parts and its description.

Knows library pipelines by their attributes only.
"""

from typing import Any

from models.contracts import ModelDescription, ModelRef, T2IInfo
from models.t2i.schedulers import SCHEDULERS, name_of

STEPS = {"sd": 25, "sdxl": 30, "hunyuandit": 40}
GUIDANCE = {"sd": 7.5, "sdxl": 6.0, "hunyuandit": 6.0}
ENCODER_LIMITS = {
    "BertTokenizer": 77,
    "BertTokenizerFast": 77,
    "T5Tokenizer": 256,
    "T5TokenizerFast": 256,
    "MT5Tokenizer": 256,
}
"""How many tokens HunyuanDiT reads of each encoder; CLIP's limit is its own 77."""


def info(
    description: ModelDescription, pipeline: Any, *, family: str, backend: str, device: str, dtype: str,
    size_multiple: int, tasks: frozenset[str],
) -> T2IInfo:  # fmt: skip
    """T2IInfo with the description's defaults and limits where it has them, else the family's."""
    defaults, limits = description.defaults, description.limits
    side = native_side(pipeline)
    multiple = int(limits.get("size_multiple", size_multiple))
    return T2IInfo(
        model=ModelRef(description.name, description.sha256),
        family=family, backend=backend, device=device, dtype=dtype,
        width=int(defaults.get("width", side)),
        height=int(defaults.get("height", side)),
        size_min=int(limits.get("size_min", max(multiple, side // 4 // multiple * multiple))),
        size_max=int(limits.get("size_max", side * 2)),
        size_multiple=multiple,
        steps=int(defaults.get("steps", STEPS[family])),
        guidance_scale=float(defaults.get("guidance_scale", GUIDANCE[family])),
        scheduler=str(defaults.get("scheduler", name_of(dict(pipeline.scheduler.config)))),
        schedulers=tuple(SCHEDULERS),
        negative_prompt=str(defaults.get("negative_prompt", "")),
        languages=description.languages,
        image_to_image="image" in tasks,
        inpainting="inpaint" in tasks,
    )  # fmt: skip


def unloaded(description: ModelDescription, family: str, device: str) -> T2IInfo:
    """Enough of an info to word an error while the painter is still loading."""
    ref = ModelRef(description.name, description.sha256)
    return T2IInfo(ref, family, "torch", device, "", 0, 0, 0, 0, 1, 0, 0.0, "", ())


def native_side(pipeline: Any) -> int:
    """The side of the pictures it was trained on, in pixels."""
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    size = denoiser.config.sample_size
    return int(size if isinstance(size, int) else size[0]) * int(pipeline.vae_scale_factor)


def torch_multiple(pipeline: Any) -> int:
    """Sides must be whole latents; a transformer's, whole patches."""
    patch = 1 if getattr(pipeline, "unet", None) else int(pipeline.transformer.config.patch_size)
    return int(pipeline.vae_scale_factor) * patch


def onnx_multiple(pipeline: Any) -> int:
    """An exported U-Net has no odd-size handling: every level of it must halve evenly."""
    levels = len(pipeline.unet.config.down_block_types)
    return int(pipeline.vae_scale_factor) * 2 ** (levels - 1)


def tokenizers(pipeline: Any) -> list[tuple[Any, int]]:
    """(tokenizer, limit in tokens with special tokens) of every text encoder."""
    found = [getattr(pipeline, name, None) for name in ("tokenizer", "tokenizer_2")]
    return [
        (t, ENCODER_LIMITS.get(type(t).__name__, min(int(t.model_max_length), 512))) for t in found if t is not None
    ]
