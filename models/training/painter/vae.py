"""Stage 1: the autoencoder (f8, Stable Diffusion's layout), trained on crops of scenes.

No perceptual network is at hand, so the loss is L1 on pixels plus L1 on differences between neighbours (edges), with a
small KL term that keeps the latents smooth. Knows nothing of captions.
"""

import random
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from models.training.painter.checkpoints import (
    load_checkpoint,
    of_prefix,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
    with_prefix,
)
from models.training.painter.config import PainterConfig
from models.training.painter.preview import save_grid
from models.training.painter.scenes_data import random_scene, scene_array, to_arrays, to_tensor
from models.training.painter.untyped import Vae

#: Pictures kept for cropping; a part is replaced at every step, so that rendering never holds training up.
POOL = 768
FRESH_PER_STEP = 2
#: Few groups with many channels each: with two channels a group, the norm before the last convolution can wipe
#: out the colour of an even picture (no greens were seen after 2,200 steps; with two groups they came soon).
NORM_GROUPS = 2


def new_vae(config: PainterConfig) -> Vae:
    count = len(config.vae_channels)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * count,
        up_block_types=("UpDecoderBlock2D",) * count,
        block_out_channels=tuple(config.vae_channels),
        layers_per_block=1,
        latent_channels=config.latent_channels,
        norm_num_groups=NORM_GROUPS,
        sample_size=config.side,
        mid_block_add_attention=False,
    )


def load_vae(config: PainterConfig, folder: Path) -> Vae:
    """The averaged weights of stage 1, frozen."""
    vae = new_vae(config)
    tensors, _ = load_checkpoint(folder / "vae.safetensors")
    vae.load_state_dict(of_prefix("ema", tensors))
    return vae.eval().requires_grad_(False)


class CropPool:
    """Rendered scenes to cut crops from; a few are replaced at every step."""

    def __init__(self, config: PainterConfig, seed: int) -> None:
        self._config = config
        self._rng = random.Random(seed)
        self._pictures = [self._fresh() for _ in range(min(POOL, config.vae_batch * 16))]

    def _fresh(self) -> np.ndarray:
        jitter = 1.0 if self._rng.random() < 0.2 else 0.0
        return scene_array(random_scene(self._config, self._rng, jitter), self._config.side)

    def crops(self) -> Tensor:
        """vae_batch crops; most of them on the latent grid, where scenes place their subjects."""
        rng, crop, side = self._rng, self._config.vae_crop, self._config.side
        for _ in range(FRESH_PER_STEP):
            if len(self._pictures) < POOL:
                self._pictures.append(self._fresh())
            else:
                self._pictures[rng.randrange(POOL)] = self._fresh()
        cut = []
        for picture in rng.sample(self._pictures, self._config.vae_batch):
            step = 8 if rng.random() < 0.75 else 1
            y, x = (rng.randrange((side - crop) // step + 1) * step for _ in range(2))
            cut.append(picture[y : y + crop, x : x + crop])
        return to_tensor(cut)


def edge_loss(drawn: Tensor, pixels: Tensor) -> Tensor:
    """L1 on the differences between neighbours, across and down."""
    across = functional.l1_loss(drawn.diff(dim=3), pixels.diff(dim=3))
    return across + functional.l1_loss(drawn.diff(dim=2), pixels.diff(dim=2))


def vae_loss(vae: Vae, pixels: Tensor, kl_weight: float) -> tuple[Tensor, Tensor]:
    """The loss and, for the log, its plain L1 part."""
    posterior = vae.encode(pixels).latent_dist
    drawn = vae.decode(posterior.sample()).sample
    plain = functional.l1_loss(drawn, pixels)
    squared = functional.mse_loss(drawn, pixels)
    kl = 0.5 * (posterior.mean.pow(2) + posterior.var - 1 - posterior.logvar).mean()
    return plain + edge_loss(drawn, pixels) + squared + kl_weight * kl, plain.detach()


class VaeTrainer:
    """Holds the model, its average and the optimizer; resumes from its checkpoint."""

    def __init__(self, config: PainterConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        torch.manual_seed(0)
        self.vae = new_vae(config).to(config.device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.vae.parameters(), config.vae_rate, betas=(0.9, 0.99), weight_decay=0.0)
        self.step, self.seconds = 0, 0.0
        self.ema = {name: tensor.clone() for name, tensor in self.vae.state_dict().items()}
        if (folder / "vae.safetensors").is_file():
            self._resume()

    def _resume(self) -> None:
        tensors, progress = load_checkpoint(self.folder / "vae.safetensors")
        self.vae.load_state_dict(of_prefix("model", tensors))
        self.ema = {name: tensor.to(self.config.device) for name, tensor in of_prefix("ema", tensors).items()}
        restore_optimizer(self.optimizer, of_prefix("optimizer", tensors))
        self.step, self.seconds = progress["step"], progress["seconds"]

    def save(self) -> None:
        tensors = with_prefix("model", self.vae.state_dict()) | with_prefix("ema", self.ema)
        tensors |= with_prefix("optimizer", optimizer_tensors(self.optimizer))
        save_checkpoint(self.folder / "vae.safetensors", tensors, {"step": self.step, "seconds": self.seconds})

    def update(self, pixels: Tensor, share: float) -> float:
        """One step at the given share of the time budget; returns the L1 part of the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.vae_rate * min(1.0, (self.step + 1) / 100) * max(0.03, 1 - share)
        loss, plain = vae_loss(self.vae, pixels.to(self.config.device), self.config.kl_weight)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.vae.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(0.998, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, tensor in self.vae.state_dict().items():
                self.ema[name].lerp_(tensor, 1 - keep)
        return float(plain)

    def preview(self) -> None:
        """Scenes above, their reconstructions below."""
        rng = random.Random(7)
        pixels = to_tensor([scene_array(random_scene(self.config, rng), self.config.side) for _ in range(12)])
        with torch.no_grad():
            shown = new_vae(self.config).to(self.config.device)
            shown.load_state_dict(self.ema)
            drawn = shown(pixels.to(self.config.device)).sample
        save_grid([*to_arrays(pixels), *to_arrays(drawn)], 12, self.folder / "vae.png")


def train_vae(config: PainterConfig, folder: Path) -> None:
    """Trains until vae_minutes are spent in all (earlier runs count); saves and previews on the way."""
    trainer, pool = VaeTrainer(config, folder), CropPool(config, seed=1)
    budget, before, last, shown = config.vae_minutes * 60, trainer.seconds, time.monotonic(), 0.0
    start = last
    pool._rng.seed(trainer.step + 1)
    while trainer.seconds < budget:
        plain = trainer.update(pool.crops(), trainer.seconds / budget)
        trainer.seconds = before + time.monotonic() - start
        if trainer.step % 50 == 0:
            print(f"vae step {trainer.step} seconds {trainer.seconds:.0f} l1 {plain:.4f}", flush=True)
        if trainer.seconds - shown > min(180, budget / 2):
            shown = trainer.seconds
            trainer.save()
            trainer.preview()
    trainer.save()
    trainer.preview()
