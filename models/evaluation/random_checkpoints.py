"""Writes checkpoints of the true size and layout with random weights, tensor by tensor: painters as safetensors.

For measuring speed and memory only; what such a model paints means nothing. Never holds more than one tensor.
"""

import json
import math
import struct
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from models.evaluation.ldm_layout import ldm_state
from resources import resource

BLOCK = 1 << 23
"""Random numbers drawn once and used again and again: drawing billions would take longer than writing them."""


class _Parts:
    """A pipeline's networks on the meta device: names and shapes without memory."""

    def __init__(self, folder: Path) -> None:
        with init_empty_weights():
            self.unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder / "unet"))
            self.vae = AutoencoderKL.from_config(AutoencoderKL.load_config(folder / "vae"))
            self.text_encoder = CLIPTextModel(CLIPTextConfig.from_pretrained(folder / "text_encoder"))
            if (folder / "text_encoder_2").is_dir():
                config = CLIPTextConfig.from_pretrained(folder / "text_encoder_2")
                self.text_encoder_2 = CLIPTextModelWithProjection(config)


def write_painter(path: Path, family: str) -> int:
    """A single-file checkpoint in fp16 of "sd15" or "sdxl", in the original layout; returns its bytes."""
    shapes = {name: tuple(t.shape) for name, t in ldm_state(_Parts(resource("t2i", family)), family).items()}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in shapes.items():
        size = 2 * prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        for name, shape in shapes.items():
            for chunk in random_tensor(name, shape):
                file.write(chunk.astype(np.float16).tobytes())
    partial.replace(path)
    return path.stat().st_size


_NOISE = np.random.default_rng(0).standard_normal(BLOCK, dtype=np.float32)


def random_tensor(name: str, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Chunks of a tensor, fp32 and flat: ones for norms, zeros for biases, else normal with variance 1/fan-in."""
    count = prod(shape)
    if len(shape) == 1:
        yield np.full(count, 0.0 if name.endswith("bias") else 1.0, np.float32)
        return
    scale = 1 / math.sqrt(prod(shape[1:]))
    for start in range(0, count, BLOCK):
        yield _NOISE[: min(BLOCK, count - start)] * scale
