"""Painting: the same bytes for the same spec, steps with previews, cancel, broken decodes, full memory."""

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.contracts import (
    BadModelError,
    Cancelled,
    GenerationSpec,
    ImageRef,
    ModelRef,
    OutOfMemoryError,
    Painted,
    Step,
)
from models.t2i.base import T2I
from models.t2i.open import open_t2i
from tests.models.t2i import tiny

Paint = Callable[..., Painted]
Spec = Callable[..., GenerationSpec]


@pytest.fixture(params=["torch", "onnx"])
def painter(request: pytest.FixtureRequest, torch_sd15: T2I, onnx_sd15: T2I) -> T2I:
    return torch_sd15 if request.param == "torch" else onnx_sd15


def bytes_of(painted: Painted) -> bytes:
    return Path(painted.path).read_bytes()


def pixels(painted: Painted) -> np.ndarray:
    with Image.open(painted.path) as image:
        return np.asarray(image).astype(int)


# ---------------------------------------------------------------- same spec, same bytes
def test_the_same_spec_gives_the_same_bytes_and_another_seed_does_not(painter: T2I, paint: Paint) -> None:
    first = paint(painter, scheduler="euler_a", steps=3)
    paint(painter, scheduler="ddim", steps=1, seed=99)  # nothing of the picture between may linger
    assert bytes_of(paint(painter, scheduler="euler_a", steps=3)) == bytes_of(first)
    assert bytes_of(paint(painter, scheduler="euler_a", steps=3, seed=8)) != bytes_of(first)


def test_every_field_of_the_spec_counts(torch_sd15: T2I, paint: Paint) -> None:
    plain = bytes_of(paint(torch_sd15))
    changes: list[dict[str, Any]] = [
        {"prompt": "a blue owl"}, {"steps": 3}, {"guidance_scale": 9.0}, {"scheduler": "ddim"},
        {"negative_prompt": "snow"}, {"width": 72},
    ]  # fmt: skip
    assert all(bytes_of(paint(torch_sd15, **change)) != plain for change in changes)


def test_painted_tells_what_was_really_used(painter: T2I, paint: Paint) -> None:
    painted = paint(painter)
    spec = painted.spec
    assert (spec.backend, spec.device, spec.dtype) == (painter.info.backend, "cpu", "fp32")
    assert spec.model == ModelRef("sd15", "0" * 64)
    assert (painted.width, painted.height, painted.notes) == (64, 64, ())


# ---------------------------------------------------------------- pictures in
@pytest.mark.parametrize("masked", [False, True])
def test_a_picture_can_be_repainted(painter: T2I, paint: Paint, picture: Callable[..., ImageRef], masked: bool) -> None:
    more = {"mask_image": picture(64, 64, mask=True)} if masked else {}
    given = {"init_image": picture(96, 128), "steps": 4, **more}
    weak, strong = (pixels(paint(painter, strength=s, **given)) for s in (0.3, 1.0))
    assert (weak != strong).any()


def test_outside_the_mask_nothing_changes(torch_sd15: T2I, paint: Paint, picture: Callable[..., ImageRef]) -> None:
    given = picture(64, 64)
    painted = pixels(paint(torch_sd15, init_image=given, mask_image=picture(64, 64, mask=True), strength=1.0))
    with Image.open(given.path) as original:
        before = np.asarray(original.convert("RGB")).astype(int)
    assert (painted[:, :32] == before[:, :32]).all()
    assert np.abs(painted[:, 44:] - before[:, 44:]).mean() > 5


# ---------------------------------------------------------------- steps and previews
def test_steps_count_up_and_the_last_has_a_preview(painter: T2I, spec: Spec, tmp_path: Path) -> None:
    *steps, painted = painter.paint(spec(steps=4), tmp_path)
    assert [(s.index, s.total) for s in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]  # type: ignore[union-attr]
    assert isinstance(painted, Painted)
    first, last = steps[0].preview, steps[-1].preview  # type: ignore[union-attr]
    assert first and last
    with Image.open(io.BytesIO(last)) as image:
        assert (image.format, image.size) == ("JPEG", (256, 256))


def test_only_one_file_is_left_in_the_folder(painter: T2I, spec: Spec, tmp_path: Path) -> None:
    *_, painted = painter.paint(spec(), tmp_path)
    assert [str(p) for p in tmp_path.iterdir()] == [painted.path]  # type: ignore[union-attr]


# ---------------------------------------------------------------- cancel
@pytest.mark.parametrize("after", [0, 1, 2])
def test_cancel_before_any_step(painter: T2I, spec: Spec, tmp_path: Path, after: int) -> None:
    seen: list[Any] = []
    with pytest.raises(Cancelled):
        for event in painter.paint(spec(steps=3), tmp_path, lambda: len(seen) >= after):
            seen.append(event)
    assert len(seen) == after and not list(tmp_path.iterdir())


def test_cancel_after_the_last_step_saves_the_decoding(
    torch_sd15: T2I, spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: object) -> torch.Tensor:
        raise AssertionError("decoded after a cancel")

    list(torch_sd15.paint(spec(steps=1), tmp_path / "warm"))  # the preview's own decodes are done
    monkeypatch.setattr(torch_sd15, "_decode", decode)
    seen: list[Any] = []
    with pytest.raises(Cancelled):
        for event in torch_sd15.paint(spec(steps=3), tmp_path, lambda: len(seen) == 3):
            seen.append(event)
    assert len(seen) == 3


def test_closing_the_generator_stops_the_pipeline(painter: T2I, spec: Spec, tmp_path: Path, paint: Paint) -> None:
    before = threading.active_count()
    events = painter.paint(spec(steps=50), tmp_path / "closed")
    assert isinstance(next(iter(events)), Step)
    events.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    assert paint(painter).width == 64


def test_a_cancelled_painting_leaves_no_trace_in_the_next(
    painter: T2I, spec: Spec, tmp_path: Path, paint: Paint
) -> None:
    whole = bytes_of(paint(painter, scheduler="dpmsolver++", steps=3))
    calls = iter([False, False, True])
    with pytest.raises(Cancelled):
        list(painter.paint(spec(scheduler="dpmsolver++", steps=3), tmp_path / "x", lambda: next(calls)))
    assert bytes_of(paint(painter, scheduler="dpmsolver++", steps=3)) == whole


# ---------------------------------------------------------------- faults
def test_a_decode_that_overflows_in_half_precision_is_done_again_in_fp32(sd15: Path, paint: Paint) -> None:
    painter = open_t2i(tiny.describe(sd15), backend="torch", dtype="fp16")
    assert paint(painter).notes == ()
    painter._base.vae.register_to_config(scaling_factor=1e-6)  # type: ignore[attr-defined]
    painted = paint(painter)
    assert painted.notes == ("decoded again in fp32",)
    assert painted.spec.dtype == "fp16" and pixels(painted).std() > 5
    assert painter._base.vae.dtype == torch.float16  # type: ignore[attr-defined]


def test_a_black_decode_is_done_again_in_fp32(sd15: Path, paint: Paint, monkeypatch: pytest.MonkeyPatch) -> None:
    painter = open_t2i(tiny.describe(sd15), backend="torch", dtype="bf16")
    decode = painter._decode  # type: ignore[attr-defined]

    def black_in_half(latents: torch.Tensor) -> torch.Tensor:
        return decode(latents) if latents.dtype == torch.float32 else torch.full((1, 3, 64, 64), -1.0)

    monkeypatch.setattr(painter, "_decode", black_in_half)
    painted = paint(painter)
    assert painted.notes == ("decoded again in fp32",) and pixels(painted).std() > 5


def test_latents_that_overflow_are_painted_again_in_fp32(sd15: Path, paint: Paint) -> None:
    painter = open_t2i(tiny.describe(sd15), backend="torch", dtype="fp16")
    with torch.no_grad():
        painter._base.unet.conv_in.weight.mul_(60000)  # type: ignore[attr-defined]
    painted = paint(painter)
    assert painted.notes == ("painted again in fp32: fp16 overflowed",) and pixels(painted).std() > 5


def test_weights_that_are_not_numbers_are_a_bad_model(sd15: Path, paint: Paint) -> None:
    painter = open_t2i(tiny.describe(sd15), backend="torch")
    with torch.no_grad():
        painter._base.vae.decoder.conv_out.bias.fill_(float("nan"))  # type: ignore[attr-defined]
    with pytest.raises(BadModelError, match="not a number"):
        paint(painter)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)  # fmt: skip
def test_full_memory_is_one_sentence_and_the_painter_stays_usable(
    painter: T2I, paint: Paint, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    unet = painter._base.unet  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr(unet, "forward", full)
        with pytest.raises(OutOfMemoryError, match=r"not enough memory on the cpu.*choose a smaller size"):
            paint(painter)
    assert pixels(paint(painter)).std() > 5


def test_a_bug_stays_a_bug(torch_sd15: T2I, paint: Paint, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(torch_sd15._base.unet, "forward", broken)  # type: ignore[attr-defined]
    with pytest.raises(ZeroDivisionError):
        paint(torch_sd15)


def test_tiling_and_slicing_paint_nearly_the_same(sd15: Path, torch_sd15: T2I, paint: Paint) -> None:
    from models.devices import MemoryPlan, choose_device
    from models.t2i.layout import check_folder
    from models.t2i.torch_pipeline import TorchPainter, _load, _place

    described = tiny.describe(sd15)
    pipeline = _load(sd15, check_folder(sd15), "fp32", described)
    plan = MemoryPlan("fp32", attention_slicing=True, vae_tiling=True)
    _place(pipeline, choose_device("cpu"), plan)
    sparing = TorchPainter(pipeline, described, "sd", choose_device("cpu"), plan)
    pipeline.set_progress_bar_config(disable=True)
    a, b = pixels(paint(sparing, width=128)), pixels(paint(torch_sd15, width=128))
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.9  # group norm sees a tile only, so colours shift a little
    assert pipeline.vae.use_tiling
    assert paint(sparing, width=128).notes == ("decoded in tiles: memory is short",)


def test_tiles_are_used_when_memory_is_measured_short(
    torch_sd15: T2I, paint: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.devices import Device
    from models.t2i import torch_pipeline

    monkeypatch.setattr(torch_pipeline, "choose_device", lambda _: Device("cpu", "small", 10**9, 10**5))
    assert paint(torch_sd15, width=128).notes == ("decoded in tiles: memory is short",)
    monkeypatch.undo()
    assert paint(torch_sd15, width=128).notes == ()
