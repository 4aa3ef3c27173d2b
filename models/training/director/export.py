"""Writes what was trained as files llama.cpp loads: the language half's GGUF, the mmproj, tokenizer files, manifest.

Knows llama.cpp's `qwen2vl` and `clip` layouts; knows nothing of training. Quantization is llama.cpp's own.
"""

import ctypes
import hashlib
import json
from pathlib import Path

import llama_cpp
import numpy as np
import torch
from gguf import GGUFWriter
from torch import Tensor
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig

from models.training.director import vision
from models.training.director.base_weights import LAYER_NAMES, Shape
from models.training.director.network import MROPE_SECTION
from models.training.director.vocabulary import (
    DRAW,
    IM_END,
    IM_START,
    N_SPECIALS,
    NEW_SPECIALS,
    Vocabulary,
    chat_template,
)

NAME = "limner-starter-vl"
CONTROL, NORMAL = 3, 1
CONTEXT = 8192


def _array(tensor: Tensor) -> np.ndarray:
    """Matrices in fp16, vectors in fp32, as llama.cpp expects them."""
    dtype = torch.float16 if tensor.ndim > 1 else torch.float32
    return np.ascontiguousarray(tensor.detach().to(dtype).numpy())


def _add_sizes(writer: GGUFWriter, shape: Shape) -> None:
    writer.add_name(NAME)
    writer.add_license("apache-2.0")
    writer.add_block_count(shape.layers)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_rope_dimension_sections([*MROPE_SECTION, 0])


def _add_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    count = len(vocabulary.tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_types([CONTROL] * N_SPECIALS + [NORMAL] * (count - N_SPECIALS))
    writer.add_token_merges(list(vocabulary.merges))
    writer.add_bos_token_id(IM_START)
    writer.add_eos_token_id(IM_END)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(IM_END)
    writer.add_add_bos_token(False)
    writer.add_chat_template(chat_template())


def _add_layer(writer: GGUFWriter, state: dict[str, Tensor], index: int) -> None:
    for ours, theirs in LAYER_NAMES.items():
        tensor = state[f"layers.{index}.{theirs}.weight"]
        writer.add_tensor(f"blk.{index}.{ours}.weight", _array(tensor))
        if ours in ("attn_q", "attn_k", "attn_v"):
            writer.add_tensor(f"blk.{index}.{ours}.bias", np.zeros(tensor.shape[0], np.float32))


def write_language_half(path: Path, state: dict[str, Tensor], shape: Shape, vocabulary: Vocabulary) -> None:
    """The language half as an fp16 `qwen2vl` GGUF. `state` uses Qwen2 names; the biases Qwen2 wants are zero."""
    writer = GGUFWriter(path, "qwen2vl")
    _add_sizes(writer, shape)
    _add_vocabulary(writer, vocabulary)
    writer.add_tensor("token_embd.weight", _array(state["embed_tokens.weight"]))
    for index in range(shape.layers):
        _add_layer(writer, state, index)
    writer.add_tensor("output_norm.weight", _array(state["norm.weight"]))
    _finish(writer)


def _finish(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vision_sizes(writer: GGUFWriter, config: Qwen2VLVisionConfig) -> None:
    writer.add_name(f"{NAME} vision")
    writer.add_type("mmproj")
    writer.add_clip_has_vision_encoder(True)
    writer.add_bool("clip.has_llava_projector", False)
    writer.add_string("clip.projector_type", "qwen2vl_merger")
    writer.add_vision_projection_dim(config.hidden_size)
    writer.add_vision_image_size(vision.IMAGE_SIDE)
    writer.add_vision_patch_size(config.patch_size)
    writer.add_vision_embedding_length(config.embed_dim)
    writer.add_vision_feed_forward_length(config.embed_dim * config.mlp_ratio)
    writer.add_vision_block_count(config.depth)
    writer.add_vision_head_count(config.num_heads)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_image_mean(list(vision.MEAN))
    writer.add_vision_image_std(list(vision.STD))
    writer.add_bool("clip.use_silu", False)
    writer.add_bool("clip.use_gelu", False)
    writer.add_vision_spatial_merge_size(config.spatial_merge_size)
    # Every picture is brought to the one size the tower was trained at.
    writer.add_uint32("clip.vision.image_min_pixels", vision.IMAGE_SIDE**2)
    writer.add_uint32("clip.vision.image_max_pixels", vision.IMAGE_SIDE**2)


def write_vision_half(path: Path, state: dict[str, Tensor], config: Qwen2VLVisionConfig) -> None:
    """The tower and its merger as an fp16 mmproj GGUF."""
    writer = GGUFWriter(path, "clip")
    _add_vision_sizes(writer, config)
    kernel = state["patch_embed.proj.weight"].float().numpy()
    for index, name in enumerate(("v.patch_embd.weight", "v.patch_embd.weight.1")):
        writer.add_tensor(name, np.ascontiguousarray(kernel[:, :, index]))
    for index in range(config.depth):
        _add_vision_block(writer, state, index)
    for ours, theirs in (("v.post_ln", "merger.ln_q"), ("mm.0", "merger.mlp.0"), ("mm.2", "merger.mlp.2")):
        for part in ("weight", "bias"):
            writer.add_tensor(f"{ours}.{part}", _array(state[f"{theirs}.{part}"]))
    _finish(writer)


def _add_vision_block(writer: GGUFWriter, state: dict[str, Tensor], index: int) -> None:
    names = {"norm1": "ln1", "norm2": "ln2", "attn.proj": "attn_out", "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down"}
    for part in ("weight", "bias"):
        for theirs, ours in names.items():
            writer.add_tensor(f"v.blk.{index}.{ours}.{part}", _array(state[f"blocks.{index}.{theirs}.{part}"]))
        packed = state[f"blocks.{index}.attn.qkv.{part}"].chunk(3, 0)
        for ours, tensor in zip(("attn_q", "attn_k", "attn_v"), packed, strict=True):
            writer.add_tensor(f"v.blk.{index}.{ours}.{part}", _array(tensor))


def quantize(source: Path, target: Path, body: str = "Q5_0", embedding: str = "Q8_0") -> None:
    """Quantize an fp16 GGUF with llama.cpp: matrices of the layers to `body`, the (tied) embedding to `embedding`."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{body}")
    params.token_embedding_type = getattr(llama_cpp, f"GGML_TYPE_{embedding}")
    params.output_tensor_type = params.token_embedding_type
    params.nthread = 1
    failed = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params))
    if failed:
        raise RuntimeError(f"llama.cpp could not quantize {source.name} to {body}.")


def digest(path: Path) -> dict[str, str | int]:
    """sha256 and size of a file, as the manifest lists them."""
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}


def write_manifest(folder: Path, model: str, mmproj: str) -> None:
    """`limner-model.json`: what the folder is, how to sample from it, and the hash of every other file in it."""
    listed = sorted(path for path in folder.iterdir() if path.is_file() and path.name != "limner-model.json")
    manifest = {
        "schema": 1,
        "name": NAME,
        "kind": "mllm",
        "protocol": "dialoggen",
        "languages": ["en", "zh"],
        "license": "Apache-2.0",
        "model": model,
        "mmproj": mmproj,
        "defaults": {"temperature": 0.2, "top_p": 0.9, "repeat_penalty": 1.0, "max_tokens": 160},
        "files": {path.name: digest(path) for path in listed},
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    (folder / "limner-model.json").write_text(text, encoding="utf-8")


def special_token_report() -> dict[str, int]:
    """The repurposed special tokens and their ids, for the model card."""
    return {name: index for index, name in NEW_SPECIALS.items() if index >= DRAW}
