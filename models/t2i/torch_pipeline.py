"""The torch back end: Stable Diffusion 1.x/2.x, SDXL and HunyuanDiT from folders, SD and SDXL from single files.

The reference back end, and the one for GPUs. Loads safetensors only, never asks a network. Knows nothing of ONNX.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    HunyuanDiTPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)

from models.contracts import BadModelError, GenerationSpec, KnownError, ModelDescription
from models.devices import MARGIN, Device, MemoryPlan, choose_device, decide, dtypes, predict_need
from models.t2i import describe
from models.t2i.handover import Report
from models.t2i.layout import FolderLayout, check_folder
from models.t2i.painter import TORCH_DTYPES, Painter, free_memory, is_out_of_memory, memory_errors
from models.t2i.preview import TinyPreview, linear_preview, load_tiny_decoder
from models.t2i.quiet import quiet
from models.t2i.single_file import SingleFile, recognise
from models.t2i.torch_single_file import load_single_file

PIPELINES: dict[tuple[str, str], Any] = {
    ("sd", "text"): StableDiffusionPipeline,
    ("sd", "image"): StableDiffusionImg2ImgPipeline,
    ("sd", "inpaint"): StableDiffusionInpaintPipeline,
    ("sdxl", "text"): StableDiffusionXLPipeline,
    ("sdxl", "image"): StableDiffusionXLImg2ImgPipeline,
    ("sdxl", "inpaint"): StableDiffusionXLInpaintPipeline,
    ("hunyuandit", "text"): HunyuanDiTPipeline,
}
EXTRAS: dict[str, dict[str, Any]] = {
    "sd": {"safety_checker": None, "feature_extractor": None, "image_encoder": None, "requires_safety_checker": False},
    "sdxl": {"feature_extractor": None, "image_encoder": None, "add_watermarker": False},
    "hunyuandit": {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False},
}
"""What every pipeline of a family is told besides its parts: no checker, no watermark, nothing that wants a
download."""


class TorchPainter(Painter):
    """A diffusers pipeline run by torch."""

    def __init__(
        self, pipeline: Any, description: ModelDescription, family: str, device: Device, plan: MemoryPlan
    ) -> None:
        info = describe.info(
            description, pipeline, family=family, backend="torch", device=device.kind, dtype=plan.dtype,
            size_multiple=describe.torch_multiple(pipeline),
            tasks=frozenset(task for fam, task in PIPELINES if fam == family),
        )  # fmt: skip
        super().__init__(info, dict(pipeline.scheduler.config), describe.tokenizers(pipeline))
        self._base, self._plan, self._path = pipeline, plan, Path(description.path)
        self._tasks: dict[str, Any] = {"text": pipeline}

    def _run(self, spec: GenerationSpec, report: Report) -> torch.Tensor:
        denoiser = self._base.unet if hasattr(self._base, "unet") else self._base.transformer
        hook = denoiser.register_forward_hook(self._watch)
        try:
            return super()._run(spec, report)
        finally:
            hook.remove()

    def _watch(self, _: Any, args: tuple[Any, ...], output: Any) -> None:
        self._clean.saw(args[0], args[1], output[0])

    def _pipeline(self, task: str) -> Any:
        if task not in self._tasks:
            parts = {**self._base.components, **EXTRAS[self.info.family]}
            self._tasks[task] = PIPELINES[self.info.family, task](**parts)
            self._tasks[task].set_progress_bar_config(disable=True)
        return self._tasks[task]

    @torch.inference_mode()
    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        vae = self._base.vae
        config = vae.config
        shifted = latents / config.scaling_factor + (getattr(config, "shift_factor", None) or 0.0)
        before = vae.dtype
        upcast = before == torch.float16 and bool(getattr(config, "force_upcast", False))
        if upcast:  # SDXL's VAE overflows in fp16
            vae.to(torch.float32)
        try:
            self._tile(vae, latents)
            where = vae.device if not self._plan.offload else torch.device(self.info.device)
            picture = vae.decode(shifted.to(where, vae.dtype), return_dict=False)[0]
            return picture.float().cpu()
        finally:
            if upcast:
                vae.to(before)
            self._base.maybe_free_model_hooks()

    def _tile(self, vae: Any, latents: torch.Tensor) -> None:
        """Tiles when the plan says so, or when the memory measured now has no room for decoding in one piece."""
        if not hasattr(vae, "enable_tiling"):
            return
        scale = self._base.vae_scale_factor
        width, height = latents.shape[-1] * scale, latents.shape[-2] * scale
        dtype = "fp32" if vae.dtype == torch.float32 else "fp16"
        need = predict_need({}, dtype, width, height, vae_channels=vae.config.block_out_channels[0])
        tiles = self._plan.vae_tiling or need.decode > choose_device(self.info.device).free * MARGIN
        (vae.enable_tiling if tiles else vae.disable_tiling)()
        self._tiled = tiles and max(width, height) > getattr(vae, "tile_sample_min_size", 0)

    def _in_fp32(self) -> contextlib.AbstractContextManager[None] | None:
        if self.info.dtype == "fp32" or self._plan.offload == "sequential":
            return None  # sequential offload keeps no weights that could be converted
        return self._precise()

    @contextlib.contextmanager
    def _precise(self) -> Iterator[None]:
        parts = [part for part in self._base.components.values() if isinstance(part, torch.nn.Module)]
        usual, self._dtype = self._dtype, torch.float32
        for part in parts:
            part.to(torch.float32)
        try:
            yield
        finally:
            self._dtype = usual
            for part in parts:
                part.to(usual)
            free_memory()

    def _linear_preview(self) -> Any:
        tiny = load_tiny_decoder(self._path)
        if tiny is not None:
            return TinyPreview(tiny.to(self.info.device))
        return linear_preview(self._base.vae.config, self._decode)


def open_torch(description: ModelDescription, *, device: str = "auto", dtype: str = "auto") -> TorchPainter:
    """Load a painter. Raises BadModelError for files that cannot be used, OutOfMemoryError if there is no room for
    it."""
    path = Path(description.path)
    found: FolderLayout | SingleFile = check_folder(path) if path.is_dir() else recognise(path)
    where = choose_device(device)
    plan = _plan(found, description, where, dtype)
    with quiet(), memory_errors(describe.unloaded(description, found.family, where.kind)):
        pipeline = _load(path, found, plan.dtype, description)
        for adapter in description.adapters:
            _add_lora(pipeline, Path(adapter))
        _place(pipeline, where, plan)
    pipeline.set_progress_bar_config(disable=True)
    return TorchPainter(pipeline, description, found.family, where, plan)


def _plan(found: FolderLayout | SingleFile, description: ModelDescription, device: Device, dtype: str) -> MemoryPlan:
    side = int(description.defaults.get("width", 1024 if found.family != "sd" else 512))
    if isinstance(found, SingleFile):
        elements = {"unet": found.header.elements}
    else:
        elements = {part: sum(h.elements for h in headers) for part, headers in found.headers.items()}
    return decide(device, {name: predict_need(elements, name, side, side) for name in dtypes(device, dtype)})


def _load(path: Path, found: FolderLayout | SingleFile, dtype: str, description: ModelDescription) -> Any:
    torch_dtype = TORCH_DTYPES[dtype]
    cls = PIPELINES[found.family, "text"]
    try:
        if isinstance(found, SingleFile):
            pipeline = load_single_file(path, found, cls, torch_dtype, description, EXTRAS[found.family])
        else:
            pipeline = cls.from_pretrained(
                path, torch_dtype=torch_dtype, use_safetensors=True, local_files_only=True, variant=found.variant,
                **EXTRAS[found.family],
            )  # fmt: skip
    except ImportError as error:  # HunyuanDiT's mT5 tokenizer wants sentencepiece
        wanted = re.search(r"requires the (\w+) library", str(error))
        package = wanted[1].lower() if wanted else error.name or "a package"
        raise KnownError(f"{path.name} needs {package}, which is not installed: install it with pip.") from error
    except (ValueError, RuntimeError, KeyError, OSError, TypeError, AttributeError) as error:
        if is_out_of_memory(error):
            raise
        raise _misfit(path, error) from error
    if isinstance(found, FolderLayout):
        _check_complete(pipeline, path, found)
    return pipeline


def _misfit(path: Path, error: Exception) -> BadModelError:
    reason = " ".join(str(error).split())[:200]
    if "meta tensor" in reason:  # weights that no file had
        return BadModelError(f"{path.name} lacks some of its weights; download the full checkpoint again.")
    return BadModelError(
        f"{path.name} cannot be loaded because its files do not fit together ({reason}); get an unmodified copy."
    )


def _check_complete(pipeline: Any, path: Path, found: FolderLayout) -> None:
    """Libraries fill missing weights with random numbers and only warn: compare the counts."""
    for part, headers in found.headers.items():
        module = getattr(pipeline, part)
        needed = sum(p.numel() for p in module.parameters())
        there = sum(h.elements for h in headers)
        if there < needed:
            raise BadModelError(
                f"{path.name}/{part} has {there:,} of the {needed:,} weights it needs; copy the whole folder of "
                f"the model again."
            )


def _add_lora(pipeline: Any, path: Path) -> None:
    from models.t2i.single_file import read_header, refuse_pickle

    refuse_pickle(path)
    read_header(path)
    name = "".join(c if c.isalnum() else "_" for c in path.stem)
    try:
        pipeline.load_lora_weights(
            str(path.parent), weight_name=path.name, adapter_name=name, use_safetensors=True, local_files_only=True
        )
    except (ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise BadModelError(
            f"The LoRA {path.name} does not fit this painter ({reason}); choose one made for it."
        ) from error


def _place(pipeline: Any, device: Device, plan: MemoryPlan) -> None:
    if plan.attention_slicing:
        pipeline.enable_attention_slicing()
    if plan.offload == "model":
        pipeline.enable_model_cpu_offload(device=device.kind)
    elif plan.offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device.kind)
    else:
        pipeline.to(device.kind)
