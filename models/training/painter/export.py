"""Stage 4: the finished painter as a folder that ships: diffusers parts in half precision, ONNX, and the manifest.

Knows file layouts. The model card is written by hand; its contact sheet is drawn here.
"""

import hashlib
import json
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from transformers import CLIPTokenizer

from models.training.painter.config import PainterConfig
from models.training.painter.half_onnx import store_in_half
from models.training.painter.pipeline import PREVIEW_GUIDANCE, draw_prompts
from models.training.painter.preview import save_grid
from models.training.painter.prompts import contact_prompts
from models.training.painter.unet import averaged_pipeline
from models.training.painter.untyped import Pipeline, TextEncoder

#: Steps and guidance of the shipped defaults and of the model card's contact sheet.
STEPS = 16
MANIFEST = "limner-model.json"


def tie_bare_characters(text: TextEncoder, tokenizer: CLIPTokenizer) -> None:
    """Gives each whole character inside a word the meaning it has alone: tokenizers that put no spaces round Chinese
    characters (the fast one, or the slow one beside ftfy) then read the same prompt in the same way."""
    ids = tokenizer.get_vocab()
    table = text.get_input_embeddings().weight
    with torch.no_grad():
        for token, bare in ids.items():
            ending = ids.get(token + "</w>")
            if ending is not None and len(token) == 3:
                table[bare] = table[ending]


def write_diffusers(pipeline: Pipeline, folder: Path) -> None:
    """Half-precision safetensors under plain names: loads with no variant, in any precision."""
    parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder)
    for part in parts:
        part.half()
    pipeline.save_pretrained(folder, safe_serialization=True)
    for part in parts:
        part.float()


def open_folder(folder: Path) -> Pipeline:
    """An exported folder, in single precision."""
    loaded = StableDiffusionPipeline.from_pretrained(
        folder, torch_dtype=torch.float32, use_safetensors=True, safety_checker=None, requires_safety_checker=False
    )
    loaded.set_progress_bar_config(disable=True)
    return loaded


def write_onnx(folder: Path) -> None:
    """Exports a diffusers folder into its onnx/ (float32 in and out, weights stored in half)."""
    from optimum.exporters.onnx import main_export

    target = folder / "onnx"
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        # Tracing warns of every Python branch on a shape; the branches taken are the right ones for every size.
        warnings.simplefilter("ignore")
        open_folder(folder).save_pretrained(scratch, safe_serialization=True)
        main_export(scratch, target, task="text-to-image", device="cpu", do_validation=False)
    for graph in sorted(target.rglob("*.onnx")):
        store_in_half(graph)


def manifest(config: PainterConfig, folder: Path) -> dict[str, Any]:
    """What the application reads about this model; `files` lists everything beside the manifest with its hash."""
    files = {}
    for path in sorted(
        p for p in folder.rglob("*") if p.is_file() and p.name not in (MANIFEST, "README.md", "contact-sheet.png")
    ):
        content = path.read_bytes()
        files[path.relative_to(folder).as_posix()] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
        }
    return {
        "schema": 1,
        "name": folder.name,
        "kind": "t2i",
        "family": "sd",
        "languages": ["en", "zh"],
        "license": "Apache-2.0",
        "defaults": {
            "width": config.side,
            "height": config.side,
            "steps": STEPS,
            "guidance_scale": PREVIEW_GUIDANCE,
            "scheduler": "dpmsolver++",
            "negative_prompt": "",
        },
        "limits": {"size_min": 64, "size_max": config.side * 2, "size_multiple": 32},
        "files": files,
    }


def export_painter(config: PainterConfig, folder: Path, model: Path) -> None:
    """Writes the averaged weights of the run in `folder` into the folder `model`, with ONNX, sheet and manifest."""
    pipeline = averaged_pipeline(config, folder)
    tie_bare_characters(pipeline.text_encoder, pipeline.tokenizer)
    model.mkdir(parents=True, exist_ok=True)
    write_diffusers(pipeline, model)
    write_onnx(model)
    save_grid(
        draw_prompts(open_folder(model), contact_prompts(config), steps=STEPS),
        6,
        model / "contact-sheet.png",
        colours=200,
    )
    told = json.dumps(manifest(config, model), indent=1, ensure_ascii=False)
    (model / MANIFEST).write_text(told + "\n", encoding="utf-8")
