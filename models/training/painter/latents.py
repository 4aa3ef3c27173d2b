"""Stage 2: scenes through the finished encoder, kept as small tensors, so that the U-Net's loop costs only the U-Net.

Knows scenes and the autoencoder; captions are made later, another one at every use.
"""

import dataclasses
import random
import time
from pathlib import Path

import torch
from torch import Tensor

from models.contracts import KnownError
from models.training.painter.checkpoints import load_checkpoint, save_checkpoint
from models.training.painter.config import PainterConfig
from models.training.painter.scenes_data import every_scene, random_scene, scene_array, to_tensor
from models.training.painter.untyped import Vae
from models.training.painter.vae import load_vae
from models.training.scenes import Scene

_BATCH = 16
_SHARD = 2000


@dataclasses.dataclass(frozen=True)
class LatentSet:
    """latents: N × channels × side/8 × side/8, fp16, less `mean` (one per channel) and times `scale`, so that they have
    mean 0 and deviation 1; scenes: what each one shows; fixed: the places of those without jitter."""

    latents: Tensor
    scenes: list[Scene]
    fixed: list[int]
    mean: Tensor
    scale: float


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("latents-*.safetensors"))


def _encode(vae: Vae, scenes: list[Scene], config: PainterConfig) -> Tensor:
    parts = []
    for first in range(0, len(scenes), _BATCH):
        arrays = [scene_array(scene, config.side) for scene in scenes[first : first + _BATCH]]
        with torch.no_grad():
            parts.append(vae.encode(to_tensor(arrays).to(config.device)).latent_dist.mean.cpu())
    return torch.cat(parts)


def _shard_scenes(config: PainterConfig, number: int, count: int) -> list[Scene]:
    """The shard's share of every combination once, as far as they reach, then random scenes; some of them moved."""
    rng = random.Random(f"shard {number}")
    moved = round(count * config.jittered)
    steady = count - moved
    whole = every_scene(config, random.Random(5))[number * steady : (number + 1) * steady]
    whole += [random_scene(config, rng) for _ in range(steady - len(whole))]
    return whole + [random_scene(config, rng, jitter=1.0) for _ in range(moved)]


def encode_scenes(config: PainterConfig, folder: Path) -> None:
    """Renders and encodes config.scenes scenes, in shards: the U-Net may start on the first while more are made, and a
    stopped run goes on with the next. The first shard's mean and deviation hold for all."""
    vae = load_vae(config, folder).to(config.device)
    size = min(_SHARD, config.scenes)
    start = time.monotonic()
    for number in range(len(shards(folder)), -(-config.scenes // size)):
        scenes = _shard_scenes(config, number, size)
        raw = _encode(vae, scenes, config)
        mean, scale = _statistics(folder, raw)
        told = {"scenes": [dataclasses.asdict(scene) for scene in scenes], "scale": scale}
        whitened = ((raw - mean[None, :, None, None]) * scale).half()
        save_checkpoint(folder / f"latents-{number:03d}.safetensors", {"latents": whitened, "mean": mean}, told)
        print(f"latents {(number + 1) * size} of {config.scenes} seconds {time.monotonic() - start:.0f}", flush=True)


def _statistics(folder: Path, raw: Tensor) -> tuple[Tensor, float]:
    if made := shards(folder):
        tensors, told = load_checkpoint(made[0])
        return tensors["mean"], told["scale"]
    mean = raw.mean((0, 2, 3))
    return mean, 1 / float((raw - mean[None, :, None, None]).std())


def load_latents(folder: Path) -> LatentSet:
    """All shards that are there. Raises KnownError where there is none."""
    made = shards(folder)
    if not made:
        raise KnownError(f"{folder} holds no encoded scenes; run the stage `latents` first.")
    loaded = [load_checkpoint(path) for path in made]
    scenes = [Scene(**values) for _, told in loaded for values in told["scenes"]]
    fixed = [i for i, scene in enumerate(scenes) if not scene.jitter]
    first, told = loaded[0]
    return LatentSet(
        torch.cat([tensors["latents"] for tensors, _ in loaded]), scenes, fixed, first["mean"], told["scale"]
    )
