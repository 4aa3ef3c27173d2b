"""Small pictures of what is being painted: the predicted clean latents, turned into RGB fast, as JPEG bytes.

Knows the noise schedule and the VAE, not the pipeline's loop.
"""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

SIDE = 256
"""Longest side of a preview, pixels."""
SHORTEST_PAUSE = 0.1
"""Seconds between two previews, at least."""
SHARE = 0.05
"""Previews take at most this share of the painting time."""

SD_FACTORS = ((0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473))
"""Latent channel → RGB for the VAE of SD 1.x and 2.x, on latents as the U-Net sees them (the widely used linear
fit)."""
SDXL_FACTORS = (
    (0.3920, 0.4054, 0.4549),
    (-0.2634, -0.0196, 0.0653),
    (0.0568, 0.1687, -0.0755),
    (-0.3112, -0.2359, -0.2076),
)
"""The same for SDXL's VAE."""
SD_CHANNELS = [128, 256, 512, 512]

Decode = Callable[[torch.Tensor], torch.Tensor]
"""Latents (1, C, h, w) as the denoiser sees them → picture (1, 3, H, W) in -1..1."""


class LinearPreview:
    """RGB as a linear function of the latent channels. weight (C, 3), bias (3,), for a picture in -1..1."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        self.weight, self.bias = weight.astype(np.float32), bias.astype(np.float32)

    def __call__(self, latents: torch.Tensor) -> np.ndarray:
        """Latents (1, C, h, w) → uint8 (h, w, 3)."""
        array = latents[0].detach().float().cpu().numpy()
        rgb = np.einsum("chw,cr->hwr", array, self.weight) + self.bias
        return to_bytes(rgb)


class TinyPreview:
    """A small decoder trained for the VAE (TAESD), from a folder beside the model."""

    def __init__(self, decoder: Any) -> None:
        self.decoder = decoder

    def __call__(self, latents: torch.Tensor) -> np.ndarray:
        """Latents (1, C, h, w) → uint8 (H, W, 3)."""
        with torch.inference_mode():
            picture = self.decoder.decode(latents.to(self.decoder.device, self.decoder.dtype)).sample
        return to_bytes(picture[0].float().cpu().permute(1, 2, 0).numpy())


def to_bytes(rgb: np.ndarray) -> np.ndarray:
    """-1..1 → 0..255; NaN becomes grey, so that a broken step still shows."""
    return (np.nan_to_num(rgb, nan=0.0).clip(-1, 1) * 127.5 + 127.5).round().astype(np.uint8)


def linear_preview(vae_config: Any, decode: Decode) -> LinearPreview:
    """The known factors for the VAEs of SD and SDXL, else a least-squares fit on decoded random latents."""
    known = list(getattr(vae_config, "block_out_channels", ())) == SD_CHANNELS and vae_config.latent_channels == 4
    if known:
        factors = SDXL_FACTORS if abs(vae_config.scaling_factor - 0.13025) < 1e-3 else SD_FACTORS
        return LinearPreview(np.array(factors), np.zeros(3))
    return fit_linear(vae_config.latent_channels, decode)


def fit_linear(channels: int, decode: Decode, side: int = 8, samples: int = 6) -> LinearPreview:
    """Least squares from latents to their decoded colours, averaged over each latent's patch. Half of the random
    latents
    are smooth (a coarse grid, enlarged), as flat parts of a picture are, half are not."""
    generator = torch.Generator("cpu").manual_seed(0)
    inputs, outputs = [], []
    for sample in range(samples):
        coarse = side // 4 if sample % 2 else side
        latents = torch.randn(1, channels, coarse, coarse, generator=generator)
        latents = torch.nn.functional.interpolate(latents, (side, side), mode="bilinear")
        picture = decode(latents).float().cpu()
        colours = torch.nn.functional.adaptive_avg_pool2d(picture, (side, side))
        inputs.append(latents[0].flatten(1).T)
        outputs.append(colours[0].flatten(1).T)
    known = torch.cat([torch.cat(inputs), torch.ones(samples * side * side, 1)], dim=1).double().numpy()
    fitted = np.linalg.lstsq(known, torch.cat(outputs).double().numpy(), rcond=None)[0]
    return LinearPreview(fitted[:-1], fitted[-1])


def load_tiny_decoder(model: Path) -> Any | None:
    """AutoencoderTiny from a folder "taesd" in the model folder or beside the model, or None."""
    for folder in (model / "taesd", model.parent / "taesd"):
        if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
            from diffusers import AutoencoderTiny

            return AutoencoderTiny.from_pretrained(folder, use_safetensors=True, local_files_only=True).eval()
    return None


class CleanLatents:
    """Keeps the denoiser's last input and output, and says which clean latents they predict.

    x_t = alpha x_0 + sigma eps (variance preserving; schedulers scale to that before the model): x_0 is
    (x_t - sigma eps) / alpha for an epsilon model and alpha x_t - sigma v for v-prediction (Salimans & Ho 2022, §2).
    """

    def __init__(self) -> None:
        self._last: tuple[torch.Tensor, Any, torch.Tensor] | None = None

    def saw(self, sample: torch.Tensor, timestep: Any, output: torch.Tensor) -> None:
        """One call of the denoiser: input and output (B, C, h, w); with guidance B is 2, unconditional first."""
        self._last = (sample, timestep, output)

    def forget(self) -> None:
        """Let go of the tensors: the painting is over."""
        self._last = None

    def predict(self, scheduler: Any, guidance_scale: float) -> torch.Tensor | None:
        """The predicted clean latents (1, C, h, w), or None before the first call."""
        if self._last is None:
            return None
        sample, timestep, output = self._last
        channels = scheduler_channels(sample, output)
        noisy, guess = sample[-1:, :channels].float(), output[:, :channels].float()
        if len(guess) == 2:
            guess = guess[:1] + guidance_scale * (guess[1:] - guess[:1])
        alpha, sigma = alpha_sigma(scheduler, timestep)
        kind = scheduler.config.get("prediction_type", "epsilon")
        if kind == "v_prediction":
            return alpha * noisy - sigma * guess
        if kind == "sample":
            return guess
        return (noisy - sigma * guess) / max(alpha, 1e-3)


def scheduler_channels(sample: torch.Tensor, output: torch.Tensor) -> int:
    """Latent channels: an inpainting U-Net has more inputs, HunyuanDiT more outputs (learned variance)."""
    return min(sample.shape[1], output.shape[1])


def alpha_sigma(scheduler: Any, timestep: Any) -> tuple[float, float]:
    """(alpha, sigma) with alpha² + sigma² = 1 at a timestep, which may lie between two training steps."""
    t = float(torch.as_tensor(timestep).flatten()[0])
    table = scheduler.alphas_cumprod
    low = min(max(int(t), 0), len(table) - 1)
    high = min(low + 1, len(table) - 1)
    part = min(max(t - low, 0.0), 1.0)
    squared = float(table[low]) * (1 - part) + float(table[high]) * part
    return squared**0.5, (1 - squared) ** 0.5


class PreviewMaker:
    """Previews as JPEG bytes, at most every SHORTEST_PAUSE seconds and SHARE of the time; the last one always."""

    def __init__(self, to_rgb: Callable[[torch.Tensor], np.ndarray]) -> None:
        self._to_rgb = to_rgb
        self._next = 0.0

    def start(self) -> None:
        """A new picture begins."""
        self._next = 0.0

    def make(
        self, predict: Callable[[], torch.Tensor | None], last: bool, now: Callable[[], float] = time.perf_counter
    ) -> bytes | None:
        """JPEG bytes of the latents `predict` returns; None if there are none or it is too early for a preview."""
        begin = now()
        if begin < self._next and not last:
            return None
        latents = predict()
        if latents is None:
            return None
        jpeg = to_jpeg(self._to_rgb(latents))
        end = now()
        self._next = end + max(SHORTEST_PAUSE, (end - begin) / SHARE)
        return jpeg


def to_jpeg(rgb: np.ndarray) -> bytes:
    """uint8 (h, w, 3) → JPEG with the longest side SIDE; latents are enlarged smoothly."""
    picture = Image.fromarray(rgb)
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    buffer = io.BytesIO()
    picture.resize(size, Image.Resampling.BILINEAR).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
