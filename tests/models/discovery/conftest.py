"""Small model files in the public layouts, written by the libraries that define them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

Maker = Callable[..., Path]


@pytest.fixture
def make_gguf() -> Maker:
    """make(path, architecture="llama", width=64, **extra keys): a language model's GGUF."""

    def make(path: Path, architecture: str = "llama", width: int = 64, **extra: Any) -> Path:
        writer = _writer(path, architecture)
        writer.add_embedding_length(width)
        writer.add_context_length(2048)
        writer.add_license("mit")
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list([f"token{n}" for n in range(2000)])
        for key, value in extra.items():
            writer.add_key_value(key.replace("__", "."), *value)
        return _close(writer, {"token_embd.weight": (16, width), "output_norm.weight": (width,)}, path)

    return make


@pytest.fixture
def make_mmproj() -> Maker:
    """make(path, width=64, projector="qwen2vl_merger"): a vision tower's GGUF."""

    def make(path: Path, width: int = 64, projector: str = "qwen2vl_merger") -> Path:
        writer = _writer(path, "clip")
        writer.add_type("mmproj")
        writer.add_string("clip.projector_type", projector)
        writer.add_uint32("clip.vision.projection_dim", width)
        return _close(writer, {"v.blk.0.ln1.weight": (32,), "mm.2.weight": (width, 32)}, path)

    return make


def _writer(path: Path, architecture: str) -> gguf.GGUFWriter:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    return writer


def _close(writer: gguf.GGUFWriter, tensors: dict[str, tuple[int, ...]], path: Path) -> Path:
    for name, shape in tensors.items():
        writer.add_tensor(name, np.ones(shape, dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def make_safetensors() -> Maker:
    """make(path, shapes): a safetensors file with these tensors."""

    def make(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: np.zeros(shape, dtype=np.float16) for name, shape in shapes.items()}, path)
        return path

    return make


@pytest.fixture
def make_diffusers(make_safetensors: Maker) -> Maker:
    """make(folder, family="sd"): a diffusers folder with every part it needs."""

    def make(folder: Path, family: str = "sd") -> Path:
        name = {
            "sd": "StableDiffusionPipeline",
            "sdxl": "StableDiffusionXLPipeline",
            "hunyuandit": "HunyuanDiTPipeline",
        }
        denoiser = "transformer" if family == "hunyuandit" else "unet"
        twice = () if family == "sd" else ("text_encoder_2", "tokenizer_2")
        index = {"_class_name": name[family], "scheduler": ["diffusers", "DDIMScheduler"]}
        for part in (denoiser, "vae", "text_encoder", "tokenizer", *twice):
            index[part] = ["library", "Class"]
            _json(folder / part / "config.json", {})
            if part.startswith("tokenizer"):
                _json(folder / part / "vocab.json", {"a": 0})
            else:
                make_safetensors(folder / part / "model.safetensors", {"weight": (2, 2)})
        _json(folder / "scheduler" / "scheduler_config.json", {})
        _json(folder / "model_index.json", index)
        return folder

    return make


@pytest.fixture
def make_export() -> Maker:
    """make(folder): an ONNX export of a Stable Diffusion pipeline (empty graphs: nobody loads them here)."""

    def make(folder: Path) -> Path:
        _json(folder / "model_index.json", {"_class_name": "StableDiffusionPipeline"})
        for part in ("unet", "vae_decoder", "text_encoder"):
            _json(folder / part / "config.json", {})
            (folder / part / "model.onnx").write_bytes(b"onnx")
        return folder

    return make


def _json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
