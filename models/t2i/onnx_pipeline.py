"""The ONNX Runtime back end: an exported Stable Diffusion or SDXL folder, on the CPU or CUDA.

IO binding is off: optimum-onnx 0.1.0 binds the U-Net's output onto its own input, and schedulers that look back then
read
overwritten latents (docs/footguns.md). Knows nothing of torch checkpoints.
"""

import contextlib
import os
from pathlib import Path
from typing import Any

import onnxruntime
import psutil
import torch
from optimum.onnxruntime import (
    ORTStableDiffusionImg2ImgPipeline,
    ORTStableDiffusionInpaintPipeline,
    ORTStableDiffusionPipeline,
    ORTStableDiffusionXLImg2ImgPipeline,
    ORTStableDiffusionXLInpaintPipeline,
    ORTStableDiffusionXLPipeline,
)

from models.contracts import BadModelError, KnownError, ModelDescription
from models.t2i import describe
from models.t2i.layout import check_onnx_folder
from models.t2i.painter import Painter, is_out_of_memory, memory_errors
from models.t2i.preview import TinyPreview, linear_preview, load_tiny_decoder
from models.t2i.quiet import quiet

PIPELINES: dict[tuple[str, str], Any] = {
    ("sd", "text"): ORTStableDiffusionPipeline,
    ("sd", "image"): ORTStableDiffusionImg2ImgPipeline,
    ("sd", "inpaint"): ORTStableDiffusionInpaintPipeline,
    ("sdxl", "text"): ORTStableDiffusionXLPipeline,
    ("sdxl", "image"): ORTStableDiffusionXLImg2ImgPipeline,
    ("sdxl", "inpaint"): ORTStableDiffusionXLInpaintPipeline,
}
SESSIONS = ("unet", "vae_encoder", "vae_decoder", "text_encoder", "text_encoder_2")
PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}


class OnnxPainter(Painter):
    """An optimum pipeline run by ONNX Runtime."""

    def __init__(self, pipeline: Any, description: ModelDescription, family: str, device: str) -> None:
        tasks = {"text"} | ({"image", "inpaint"} if pipeline.vae_encoder is not None else set())
        info = describe.info(
            description, pipeline, family=family, backend="onnx", device=device, dtype=_dtype(pipeline),
            size_multiple=describe.onnx_multiple(pipeline), tasks=frozenset(tasks),
        )  # fmt: skip
        super().__init__(info, dict(pipeline.scheduler.config), describe.tokenizers(pipeline))
        self._base, self._path = pipeline, Path(description.path)
        self._tasks: dict[str, Any] = {"text": pipeline}
        self._watch(pipeline.unet)

    def _watch(self, unet: Any) -> None:
        """Let the previews see every call of the U-Net."""
        forward = unet.forward

        def watched(sample: torch.Tensor, timestep: Any, *args: Any, **kwargs: Any) -> Any:
            output = forward(sample, timestep, *args, **kwargs)
            self._clean.saw(sample, timestep, output[0])
            return output

        unet.forward = watched

    def _pipeline(self, task: str) -> Any:
        if task not in self._tasks:
            base = self._base
            sessions = {f"{n}_session": part.session for n in SESSIONS if (part := getattr(base, n, None)) is not None}
            rest = {n: part for n in ("tokenizer", "tokenizer_2") if (part := getattr(base, n, None)) is not None}
            new = _settle(
                PIPELINES[self.info.family, task](**sessions, **rest, scheduler=base.scheduler, use_io_binding=False)
            )
            self._watch(new.unet)
            self._tasks[task] = new
        return self._tasks[task]

    @torch.inference_mode()
    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        shifted = latents / self._base.vae.config.scaling_factor
        return torch.as_tensor(self._base.vae.decode(shifted, return_dict=False)[0]).float().cpu()

    def _in_fp32(self) -> contextlib.AbstractContextManager[None] | None:
        return None  # an export has one precision; its VAE is kept in fp32 (see export.py)

    def _linear_preview(self) -> Any:
        tiny = load_tiny_decoder(self._path)
        return TinyPreview(tiny) if tiny is not None else linear_preview(self._base.vae.config, self._decode)


def open_onnx(description: ModelDescription, *, device: str = "auto") -> OnnxPainter:
    """Load the exported pipeline in description.onnx. Raises BadModelError if it is damaged, KnownError without the
    device."""
    if not description.onnx:
        raise KnownError(
            f"{description.name} has no ONNX export yet; make one with `limner models export {description.name}`."
        )
    if description.adapters:
        raise KnownError("An ONNX export cannot take LoRA files; choose the torch back end for this painter.")
    folder = Path(description.onnx)
    family = check_onnx_folder(folder)
    where = choose_provider(device)
    with quiet(), memory_errors(describe.unloaded(description, family, where)):
        pipeline = load_pipeline(folder, family, where)
    return OnnxPainter(pipeline, description, family, where)


def load_pipeline(folder: Path, family: str, device: str) -> Any:
    """The optimum text-to-image pipeline of a checked folder."""
    try:
        pipeline = PIPELINES[family, "text"].from_pretrained(
            folder, export=False, provider=PROVIDERS[device], session_options=session_options(), use_io_binding=False,
            local_files_only=True,
        )  # fmt: skip
    except Exception as error:  # ONNX Runtime's errors share no base class but this
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise BadModelError(
            f"The ONNX export {folder.name} is damaged ({reason}); export the painter again."
        ) from error
    return _settle(pipeline)


def _settle(pipeline: Any) -> Any:
    """No progress bar; and the layer count where optimum looks for it, or diffusers warns at every prompt."""
    pipeline.set_progress_bar_config(disable=True)
    for encoder in (pipeline.text_encoder, getattr(pipeline, "text_encoder_2", None)):
        if encoder is not None:
            encoder.num_hidden_layers = encoder.config.num_hidden_layers
    return pipeline


def choose_provider(device: str) -> str:
    """ "cuda" where ONNX Runtime was built with it, else "cpu". Raises KnownError for a device it cannot use."""
    there = [kind for kind, provider in PROVIDERS.items() if provider in onnxruntime.get_available_providers()]
    if device == "auto":
        return there[0]
    if device not in there:
        raise KnownError(f"ONNX Runtime here cannot use the device {device!r}; choose one of {', '.join(there)}.")
    return device


def session_options() -> onnxruntime.SessionOptions:
    """All graph optimizations; one thread per physical core, or OMP_NUM_THREADS."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0)) or psutil.cpu_count(logical=False) or 1
    options.log_severity_level = 3
    return options


def _dtype(pipeline: Any) -> str:
    """Precision of the U-Net's input."""
    kinds = {i.name: i.type for i in pipeline.unet.session.get_inputs()}
    return "fp16" if "float16" in kinds.get("sample", "") else "fp32"
