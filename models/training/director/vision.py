"""The vision half: a small Qwen2-VL tower and the picture preprocessing that llama.cpp applies to it.

Uses transformers' own tower module, so that what is trained is exactly what the architecture says. Knows no language
model beyond the width of its embeddings.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel

PATCH, MERGE = 14, 2
TOKEN_SIDE = PATCH * MERGE
"""Side in pixels of the square that becomes one picture token."""
IMAGE_SIDE = 112
"""Pictures are shown to the tower at 112×112 pixels: 16 picture tokens."""
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def tower_config(depth: int = 4, width: int = 192, heads: int = 4, hidden: int = 576) -> Qwen2VLVisionConfig:
    """Configuration of the tower; `hidden` is the language half's width."""
    return Qwen2VLVisionConfig(
        depth=depth, embed_dim=width, hidden_size=hidden, num_heads=heads, mlp_ratio=4, patch_size=PATCH,
        spatial_merge_size=MERGE, temporal_patch_size=2, in_chans=3,
    )  # fmt: skip


def build_tower(config: Qwen2VLVisionConfig) -> Qwen2VisionTransformerPretrainedModel:
    """A tower with fresh weights, fp32."""
    return Qwen2VisionTransformerPretrainedModel(config)


def pixels(picture: Image.Image, side: int = IMAGE_SIDE) -> Tensor:
    """RGB picture → normalised [3, side, side], resized bilinearly as llama.cpp does for Qwen2-VL."""
    small = picture.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    array = np.asarray(small, dtype=np.float32) / 255.0
    normal = (array - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return torch.from_numpy(normal).permute(2, 0, 1)


def patches(batch: Tensor) -> tuple[Tensor, Tensor]:
    """[B, 3, S, S] → flattened patches [B·(S/14)², 3·2·14·14] in 2×2 merge order, and the grid [B, 3]."""
    count, channels, side, _ = batch.shape
    grid = side // PATCH
    half = grid // MERGE
    blocks = batch.view(count, channels, half, MERGE, PATCH, half, MERGE, PATCH)
    ordered = blocks.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(count * grid * grid, channels, 1, PATCH, PATCH)
    flat = ordered.expand(-1, -1, 2, -1, -1).reshape(count * grid * grid, -1)
    return flat, torch.tensor([[1, grid, grid]]).expand(count, 3).contiguous()


def encode(tower: Qwen2VisionTransformerPretrainedModel, batch: Tensor) -> Tensor:
    """Pictures [B, 3, S, S] → picture tokens [B, (S/28)², hidden]."""
    flat, grids = patches(batch)
    return tower(flat, grid_thw=grids).view(batch.shape[0], (batch.shape[-1] // TOKEN_SIDE) ** 2, -1)
