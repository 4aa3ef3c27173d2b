"""Stage 5, at any time after the autoencoder: more training for the decoder alone.

The encoder stays as it is, so encoded scenes and a U-Net trained on them stay valid; the pictures get sharper. A little
noise on the latents makes the decoder forgive a U-Net that is not exact.
"""

import random
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from models.training.painter.checkpoints import load_checkpoint, save_checkpoint, with_prefix
from models.training.painter.config import PainterConfig
from models.training.painter.preview import save_grid
from models.training.painter.scenes_data import random_scene, scene_array, to_arrays, to_tensor
from models.training.painter.vae import CropPool, edge_loss, load_vae

#: Noise on the latents, as a share of their deviation.
LATENT_NOISE = 0.05


class DecoderTrainer:
    """The frozen encoder, the decoder, its average, and the step count of this stage."""

    def __init__(self, config: PainterConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.vae = load_vae(config, folder).to(config.device, memory_format=torch.channels_last)
        _, self.progress = load_checkpoint(folder / "vae.safetensors")
        self.parameters = [*self.vae.decoder.parameters(), *self.vae.post_quant_conv.parameters()]
        for parameter in self.parameters:
            parameter.requires_grad_(True)
        self.optimizer = torch.optim.AdamW(self.parameters, config.vae_rate / 2, betas=(0.9, 0.99), weight_decay=0.0)
        self.ema = {name: tensor.clone() for name, tensor in self.vae.state_dict().items()}
        self.step = 0

    def update(self, pixels: Tensor, share: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.vae_rate / 2 * min(1.0, (self.step + 1) / 100) * max(0.03, 1 - share)
        pixels = pixels.to(self.config.device)
        with torch.no_grad():
            latents = self.vae.encode(pixels).latent_dist.mean
            latents = latents + torch.randn_like(latents) * LATENT_NOISE * latents.std()
        drawn = self.vae.decode(latents).sample
        plain = functional.l1_loss(drawn, pixels)
        loss = plain + edge_loss(drawn, pixels) + functional.mse_loss(drawn, pixels)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(0.998, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, tensor in self.vae.state_dict().items():
                self.ema[name].lerp_(tensor, 1 - keep)
        return float(plain.detach())

    def save(self, seconds: float) -> None:
        """The averaged decoder takes the place of the old one; stage 1 could no longer be resumed to the same end."""
        tensors = with_prefix("model", self.ema) | with_prefix("ema", self.ema)
        told = self.progress | {"decoder_steps": self.progress.get("decoder_steps", 0) + self.step}
        told["decoder_seconds"] = self.progress.get("decoder_seconds", 0.0) + seconds
        save_checkpoint(self.folder / "vae.safetensors", tensors, told)

    def preview(self) -> None:
        rng = random.Random(7)
        pixels = to_tensor([scene_array(random_scene(self.config, rng), self.config.side) for _ in range(12)])
        shown = load_vae(self.config, self.folder)
        with torch.no_grad():
            drawn = shown(pixels).sample
        save_grid([*to_arrays(pixels), *to_arrays(drawn)], 12, self.folder / "decoder.png")


def train_decoder(config: PainterConfig, folder: Path, minutes: float) -> None:
    """Trains the decoder for this many minutes of wall clock, then saves it into the autoencoder's checkpoint."""
    trainer, pool = DecoderTrainer(config, folder), CropPool(config, seed=int(time.time()))
    start = time.monotonic()
    while (spent := time.monotonic() - start) < minutes * 60:
        plain = trainer.update(pool.crops(), spent / (minutes * 60))
        if trainer.step % 100 == 0:
            print(f"decoder step {trainer.step} seconds {spent:.0f} l1 {plain:.4f}", flush=True)
    trainer.save(time.monotonic() - start)
    trainer.preview()
