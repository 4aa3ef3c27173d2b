"""Exports a Stable Diffusion or SDXL painter to ONNX, on the CPU in fp32, and proves the export before it counts.

Runs optimum's exporter on the loaded pipeline, so that folders and single files go the same way.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from models.contracts import BadModelError, GenerationSpec, KnownError, ModelDescription, T2IInfo
from models.t2i.layout import check_folder
from models.t2i.onnx_pipeline import OnnxPainter, open_onnx
from models.t2i.painter import Painter, memory_errors
from models.t2i.quiet import offline, quiet
from models.t2i.single_file import recognise
from models.t2i.torch_pipeline import TorchPainter, open_torch

TOLERANCE = 0.01
"""Largest difference between torch and ONNX after one step, as a share of the largest value."""
FAMILIES = ("sd", "sdxl")


def export_onnx(
    description: ModelDescription, target: Path, progress: Callable[[str], None] = lambda stage: None
) -> Path:
    """Write the ONNX folder `target` (replaced if it exists) and return it. `progress` gets "loading" | "exporting" |
    "checking".

    Raises KnownError for a family without an exporter or a full disk, BadModelError if the checkpoint cannot be
    loaded or
    the export does not paint what torch paints. Nothing is left behind on failure.
    """
    offline()
    _check_possible(description, target)
    progress("loading")
    painter = open_torch(description, device="cpu", dtype="fp32")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        progress("exporting")
        with memory_errors(painter.info):
            _export(painter, partial)
        progress("checking")
        _check_same(painter, open_onnx(replace(description, onnx=str(partial), adapters=()), device="cpu"))
        _move(partial, target)
    except OSError as error:
        raise KnownError(
            f"The export cannot be written to {target.parent} ({error.strerror}); make room there."
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _check_possible(description: ModelDescription, target: Path) -> None:
    path = Path(description.path)
    if path.is_dir():
        layout = check_folder(path)
        family, elements = layout.family, sum(h.elements for headers in layout.headers.values() for h in headers)
    else:
        found = recognise(path)
        family, elements = found.family, found.header.elements
    if family not in FAMILIES:
        raise KnownError(f"There is no ONNX exporter for {family}; {description.name} paints with torch.")
    if description.adapters:
        raise KnownError("An ONNX export cannot carry LoRA files; take them off the painter first.")
    folder = next(p for p in (target.parent, *target.parent.parents) if p.exists())
    needed, free = int(elements * 4 * 1.1), shutil.disk_usage(folder).free
    if needed > free:
        raise KnownError(
            f"The export needs {needed / 1e9:.1f} GB and {folder} has {free / 1e9:.1f} GB free; make room there."
        )


def _export(painter: TorchPainter, folder: Path) -> None:
    from optimum.exporters.onnx import onnx_export_from_model

    with quiet():
        onnx_export_from_model(
            painter._pipeline("text"), output=folder, task="text-to-image", do_validation=False, no_post_process=True
        )
    for path in folder.rglob("*.json"):
        _forget_origin(path)


def _forget_origin(path: Path) -> None:
    """Exporters note the folder the model came from; that is nobody's business."""
    value = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(value, dict) and value.pop("_name_or_path", None) is not None:
        path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _check_same(reference: TorchPainter, exported: OnnxPainter) -> None:
    """One step at the smallest size, latents and decoded picture. Raises BadModelError if they differ."""
    spec = _golden_spec(exported.info)
    for guidance in (1.0, 4.0):
        ours, theirs = (_one_step(p, replace(spec, guidance_scale=guidance)) for p in (reference, exported))
        for name, a, b in zip(("latents", "picture"), ours, theirs, strict=True):
            gap = float((a - b).abs().max() / a.abs().max().clamp(min=1e-6))
            if not gap <= TOLERANCE:
                raise BadModelError(
                    f"The ONNX export of {reference.info.model.name} does not paint what torch paints ({name} "
                    f"differ by {gap:.1%}); "
                    "keep using torch for it."
                )


def _golden_spec(info: T2IInfo) -> GenerationSpec:
    return GenerationSpec("a red fox in the snow", 1, info.size_min, info.size_min, 1, 1.0, "ddim")


def _one_step(painter: Painter, spec: GenerationSpec) -> tuple[torch.Tensor, torch.Tensor]:
    """(latents, decoded picture) after one denoising step."""
    latents = painter._run(spec, _ignore)
    return latents.float(), painter._decode(latents)


def _ignore(step: Any) -> None:
    """Nobody watches the golden step."""


def _move(partial: Path, target: Path) -> None:
    if target.exists():
        shutil.rmtree(target)
    partial.chmod(0o755)  # a temporary folder is the user's alone
    partial.replace(target)
