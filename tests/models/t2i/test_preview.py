"""Previews: predicted clean latents, the linear fit, the small decoder, and how often one is made."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, EulerDiscreteScheduler
from PIL import Image

from models.t2i.preview import (
    SD_CHANNELS,
    SD_FACTORS,
    SDXL_FACTORS,
    CleanLatents,
    LinearPreview,
    PreviewMaker,
    TinyPreview,
    alpha_sigma,
    fit_linear,
    linear_preview,
    load_tiny_decoder,
    to_bytes,
    to_jpeg,
)

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("timestep", [1, 500, 999])
def test_the_clean_latents_are_recovered_from_a_perfect_model(kind: str, timestep: int) -> None:
    scheduler = DDIMScheduler(**BETAS, prediction_type=kind)
    clean, noise = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    alpha, sigma = alpha_sigma(scheduler, timestep)
    noisy = scheduler.add_noise(clean, noise, torch.tensor([timestep]))
    answer = {"epsilon": noise, "v_prediction": alpha * noise - sigma * clean, "sample": clean}[kind]
    watcher = CleanLatents()
    watcher.saw(noisy, torch.tensor(timestep), answer)
    predicted = watcher.predict(scheduler, 1.0)
    assert predicted is not None and torch.allclose(predicted, clean, atol=2e-3)


def test_guidance_is_followed_and_extra_channels_are_left_out() -> None:
    """An inpainting U-Net has nine inputs, HunyuanDiT twice the outputs; with guidance the batch is two."""
    scheduler = DDIMScheduler(**BETAS, prediction_type="sample")
    watcher = CleanLatents()
    outputs = torch.stack([torch.full((8, 2, 2), 1.0), torch.full((8, 2, 2), 2.0)])
    watcher.saw(torch.zeros(2, 4, 2, 2), 10, outputs)
    predicted = watcher.predict(scheduler, 3.0)
    assert predicted is not None and predicted.shape == (1, 4, 2, 2) and torch.all(predicted == 4.0)
    watcher.saw(torch.zeros(2, 9, 2, 2), 10, outputs[:, :4])
    assert watcher.predict(scheduler, 3.0).shape == (1, 4, 2, 2)  # type: ignore[union-attr]


def test_nothing_is_predicted_before_the_first_call() -> None:
    assert CleanLatents().predict(EulerDiscreteScheduler(**BETAS), 1.0) is None


def test_timesteps_between_training_steps_are_interpolated() -> None:
    scheduler = EulerDiscreteScheduler(**BETAS)
    low, middle, high = (alpha_sigma(scheduler, t)[0] for t in (400, 400.5, 401))
    assert high < middle < low


def test_the_fit_finds_a_linear_decoder_exactly() -> None:
    weight = torch.randn(3, 6, 1, 1, generator=torch.Generator().manual_seed(1)) / 4
    bias = torch.tensor([0.1, -0.2, 0.3])

    def decode(latents: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.interpolate(torch.nn.functional.conv2d(latents, weight, bias), scale_factor=8.0)

    fitted = fit_linear(6, decode)
    assert np.allclose(fitted.weight, weight[:, :, 0, 0].T, atol=1e-4) and np.allclose(fitted.bias, bias, atol=1e-4)


def test_known_vaes_need_no_decoding() -> None:
    def never(_: torch.Tensor) -> torch.Tensor:
        raise AssertionError("decoded")

    config = {"block_out_channels": SD_CHANNELS, "latent_channels": 4}
    sd = linear_preview(SimpleNamespace(**config, scaling_factor=0.18215), never)
    sdxl = linear_preview(SimpleNamespace(**config, scaling_factor=0.13025), never)
    assert np.allclose(sd.weight, SD_FACTORS) and np.allclose(sdxl.weight, SDXL_FACTORS)


def test_the_small_decoder_is_found_in_the_model_folder_and_beside_it(tmp_path: Path) -> None:
    model = tmp_path / "painter"
    model.mkdir()
    assert load_tiny_decoder(model) is None
    tiny = AutoencoderTiny(encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4)
    tiny.save_pretrained(tmp_path / "taesd")
    found = load_tiny_decoder(model)
    assert found is not None
    assert TinyPreview(found)(torch.zeros(1, 4, 8, 8)).shape == (64, 64, 3)
    assert load_tiny_decoder(tmp_path) is not None


def test_a_preview_is_small_jpeg_and_survives_nan() -> None:
    rgb = to_bytes(np.full((8, 16, 3), np.nan))
    assert (rgb == 128).all()
    with Image.open(io.BytesIO(to_jpeg(rgb))) as image:
        assert (image.format, image.size) == ("JPEG", (256, 128))
    assert len(to_jpeg(rgb)) < 20_000


def test_previews_are_throttled_and_the_last_is_always_made() -> None:
    clock = iter([0.0, 0.01, 0.05, 0.25, 0.27, 0.28, 0.29])
    maker = PreviewMaker(LinearPreview(np.zeros((4, 3)), np.zeros(3)))
    latents = torch.zeros(1, 4, 8, 8)
    maker.start()
    made = [bool(maker.make(lambda: latents, last, lambda: next(clock))) for last in (False, False, False, True)]
    # 10 ms of work: the next may come 0.2 s later (a twentieth of the time), so 0.05 is too early and 0.25 is not
    assert made == [True, False, True, True]
