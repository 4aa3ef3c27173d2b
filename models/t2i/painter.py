"""What both back ends share: a GenerationSpec goes in, steps with previews come out, then a PNG file.

Runs library pipelines up to the latents and decodes them itself, so that cancelling, broken decodes and memory are in
one place. Knows diffusers' calling conventions; not where the networks run.
"""

import contextlib
import gc
import time
import traceback
import uuid
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter

from models.contracts import (
    BadModelError,
    Cancelled,
    GenerationSpec,
    KnownError,
    LimnerError,
    OutOfMemoryError,
    Painted,
    PaintEvent,
    PromptTokens,
    Step,
    T2IInfo,
)
from models.t2i.base import CancelCheck
from models.t2i.handover import Report, hand_over
from models.t2i.preview import CleanLatents, PreviewMaker
from models.t2i.prompt_tokens import bounded, measure
from models.t2i.schedulers import make_scheduler
from models.t2i.spec_checks import check_spec, open_picture

TORCH_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "failed to allocate memory",
    "bad allocation",
)


class Painter:
    """A loaded pipeline of one back end. Subclasses say how to get a pipeline for a task, decode, and go to fp32."""

    def __init__(self, info: T2IInfo, scheduler_config: dict[str, Any], tokenizers: list[tuple[Any, int]]) -> None:
        self._info = info
        self._scheduler_config = scheduler_config
        self._tokenizers = tokenizers
        self._dtype = TORCH_DTYPES[info.dtype]
        self._tiled = False  # the last decode was made in overlapping tiles
        self._clean = CleanLatents()
        self._previews: PreviewMaker | None = None

    # -- the interface (models.t2i.base.T2I)
    @property
    def info(self) -> T2IInfo:
        """What is loaded, its defaults and its limits."""
        return self._info

    def measure(self, prompt: str) -> PromptTokens:
        """The prompt cut at the tightest text encoder's limit, in its own tokens. Fast for prompts of any length."""
        return measure(prompt, self._tokenizers)

    def paint(self, spec: GenerationSpec, folder: Path, cancelled: CancelCheck = lambda: False) -> Iterator[PaintEvent]:
        """See models.t2i.base.T2I.paint."""
        check_spec(spec, self._info)
        begin = time.perf_counter()
        if cancelled():
            raise Cancelled
        with memory_errors(self._info):
            latents, notes = yield from self._denoise_finite(spec, cancelled)
            if cancelled():
                raise Cancelled
            array, more = self._decode_checked(latents, spec)
        path = save_png(self._keep_unmasked(Image.fromarray(array), spec), folder)
        used = replace(
            spec, model=self._info.model, backend=self._info.backend, device=self._info.device, dtype=self._info.dtype
        )
        yield Painted(str(path), spec.width, spec.height, used, time.perf_counter() - begin, (*notes, *more))

    # -- what a back end provides
    def _pipeline(self, task: str) -> Any:
        """The library pipeline for "text" | "image" | "inpaint", sharing all parts."""
        raise NotImplementedError

    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents as the denoiser sees them → picture (1, 3, H, W) in -1..1, on the CPU in fp32."""
        raise NotImplementedError

    def _in_fp32(self) -> contextlib.AbstractContextManager[None] | None:
        """A context in which everything runs in fp32, or None if it already does or cannot."""
        raise NotImplementedError

    def _linear_preview(self) -> Any:
        raise NotImplementedError

    # -- denoising
    def _denoise_finite(
        self, spec: GenerationSpec, cancelled: CancelCheck
    ) -> Generator[Step, None, tuple[torch.Tensor, tuple[str, ...]]]:
        """Latents, painted once more in fp32 if half precision overflowed."""
        latents = yield from hand_over(lambda report: self._run(spec, report), cancelled)
        if bool(torch.isfinite(latents).all()):
            return latents, ()
        precise = self._in_fp32()
        if precise is None:
            raise self._no_picture()
        with precise:
            latents = yield from hand_over(lambda report: self._run(spec, report), cancelled)
        return latents, (f"painted again in fp32: {self._info.dtype} overflowed",)

    def _run(self, spec: GenerationSpec, report: Report) -> torch.Tensor:
        """The library's pipeline up to the latents; reports a Step after every denoising step."""
        pipeline = self._pipeline(task_of(spec))
        pipeline.scheduler = make_scheduler(spec.scheduler, self._scheduler_config)
        previews = self._preview_maker()
        previews.start()

        def on_step(pipe: Any, index: int, timestep: Any, _: dict[str, Any]) -> dict[str, Any]:
            total = pipe.num_timesteps
            preview = previews.make(
                lambda: self._clean.predict(pipe.scheduler, spec.guidance_scale), last=index + 1 == total
            )
            report(Step(index + 1, total, preview))
            return {}

        arguments = self._arguments(spec, pipeline)
        try:
            return pipeline(**arguments, callback_on_step_end=on_step, output_type="latent", return_dict=False)[0]
        finally:
            self._clean.forget()

    def _arguments(self, spec: GenerationSpec, pipeline: Any) -> dict[str, Any]:
        generator = torch.Generator("cpu").manual_seed(spec.seed)
        arguments: dict[str, Any] = {
            "prompt": bounded(spec.prompt)[0],
            "negative_prompt": bounded(spec.negative_prompt)[0] or None,
            "num_inference_steps": spec.steps,
            "guidance_scale": spec.guidance_scale,
            "generator": generator,
        }
        task = task_of(spec)
        if task == "text":
            arguments |= {"latents": self._noise(spec, pipeline, generator)}
        if task != "image":
            arguments |= {"width": spec.width, "height": spec.height}
        if task != "text":
            arguments |= {"image": open_picture(spec.init_image, spec.width, spec.height), "strength": spec.strength}  # type: ignore[arg-type]
        if task == "inpaint":
            arguments["mask_image"] = open_picture(spec.mask_image, spec.width, spec.height, mask=True)  # type: ignore[arg-type]
        if self._info.family == "hunyuandit":
            arguments["use_resolution_binning"] = False
        return arguments

    def _noise(self, spec: GenerationSpec, pipeline: Any, generator: torch.Generator) -> torch.Tensor:
        """The seed's noise, made on the CPU in fp32 so that it is the same on every device and back end."""
        scale = pipeline.vae_scale_factor
        channels = pipeline.vae.config.latent_channels
        noise = torch.randn(1, channels, spec.height // scale, spec.width // scale, generator=generator)
        return noise.to(self._dtype)

    def _preview_maker(self) -> PreviewMaker:
        if self._previews is None:
            self._previews = PreviewMaker(self._linear_preview())
        return self._previews

    # -- decoding
    def _decode_checked(self, latents: torch.Tensor, spec: GenerationSpec) -> tuple[np.ndarray, tuple[str, ...]]:
        """uint8 (H, W, 3). A decode that is not a number or all black is done again in fp32."""
        picture = self._decode(latents)
        notes: tuple[str, ...] = ("decoded in tiles: memory is short",) if self._tiled else ()
        if is_broken(picture) and (precise := self._in_fp32()) is not None:
            with precise:
                picture, notes = self._decode(latents.float()), (*notes, "decoded again in fp32")
        if not bool(torch.isfinite(picture).all()):
            raise self._no_picture()
        return to_array(picture), notes

    def _no_picture(self) -> BadModelError:
        return BadModelError(
            f"{self._info.model.name} painted nothing but errors (not a number): its files may be damaged; "
            "check it with `limner models verify` or copy it again."
        )

    def _keep_unmasked(self, picture: Image.Image, spec: GenerationSpec) -> Image.Image:
        """Outside the mask the picture given stays, pixel for pixel, with a soft seam inside it."""
        if spec.mask_image is None or spec.init_image is None:
            return picture
        original = open_picture(spec.init_image, spec.width, spec.height)
        mask = open_picture(spec.mask_image, spec.width, spec.height, mask=True)
        inner = np.minimum(np.asarray(mask), np.asarray(mask.filter(ImageFilter.GaussianBlur(4))))
        return Image.composite(picture, original, Image.fromarray(inner))


def task_of(spec: GenerationSpec) -> str:
    """Which pipeline a spec asks for."""
    if spec.init_image is None:
        return "text"
    return "inpaint" if spec.mask_image else "image"


def is_broken(picture: torch.Tensor) -> bool:
    """Whether a decoded picture in -1..1 is not a number somewhere, or black everywhere."""
    return not bool(torch.isfinite(picture).all()) or float(picture.max()) <= -0.99


def to_array(picture: torch.Tensor) -> np.ndarray:
    """(1, 3, H, W) in -1..1 → uint8 (H, W, 3), rounded as diffusers does."""
    rgb = (picture[0].float() / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    return (rgb * 255).round().astype(np.uint8)


def save_png(picture: Image.Image, folder: Path) -> Path:
    """A new PNG in the folder, whole or not at all. Raises KnownError if it cannot be written."""
    path = folder / f"{uuid.uuid4().hex}.png"
    partial = path.with_suffix(".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(partial, "PNG")
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise KnownError(
            f"The picture cannot be written to {folder} ({error.strerror}); make room or choose another folder."
        ) from None
    return path


@contextlib.contextmanager
def memory_errors(info: T2IInfo) -> Iterator[None]:
    """Turns a full device into OutOfMemoryError and frees what the failed painting held."""
    try:
        yield
    except Exception as error:  # ONNX Runtime's errors share no base class but this
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold the tensors of the failed painting
        free_memory()
        raise OutOfMemoryError(
            f"There is not enough memory on the {info.device} to paint this with {info.model.name}: choose a "
            f"smaller size, "
            "or close other programs."
        ) from None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch, ONNX Runtime or Python says that memory ran out."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return not isinstance(error, LimnerError) and any(mark in str(error).lower() for mark in OUT_OF_MEMORY)


def free_memory() -> None:
    """Give unused device memory back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
