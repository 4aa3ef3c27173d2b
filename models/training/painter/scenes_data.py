"""Random scenes of a configuration, as pictures and as tensors. Knows what is likely, not how anything is trained."""

import itertools
import random

import numpy as np
import torch
from torch import Tensor

from models.contracts import KnownError
from models.training.painter.config import PainterConfig
from models.training.scenes import Scene, painter_subjects, render_scene

BACKGROUND_SEEDS = 3


def scene_subjects(config: PainterConfig) -> list[str]:
    known = painter_subjects()
    if unknown := [label for label in config.subjects if label not in known]:
        raise KnownError(f"The subject table has no {unknown}; correct the configuration's subjects.")
    return config.subjects


def random_scene(config: PainterConfig, rng: random.Random, jitter: float = 0.0) -> Scene:
    """One scene; jitter 0 keeps the subject in its lens's place, more moves it and flips half of them."""
    styles = list(config.styles)
    return Scene(
        subject=rng.choice(scene_subjects(config)),
        background=rng.choice(config.backgrounds),
        lens=rng.choices(list(config.lenses), list(config.lenses.values()))[0],
        style=rng.choices(styles, list(config.styles.values()))[0],
        seed=rng.randrange(BACKGROUND_SEEDS) if not jitter else rng.randrange(1000),
        art="same",
        jitter=jitter,
        flip=bool(jitter) and rng.random() < 0.5,
    )


def every_scene(config: PainterConfig, rng: random.Random) -> list[Scene]:
    """Each subject with each background, lens and style once, in random order."""
    fields = itertools.product(scene_subjects(config), config.backgrounds, config.lenses, config.styles)
    scenes = [Scene(*values, seed=rng.randrange(BACKGROUND_SEEDS), art="same") for values in fields]
    rng.shuffle(scenes)
    return scenes


def scene_array(scene: Scene, side: int) -> np.ndarray:
    """(side, side, 3) bytes."""
    return np.asarray(render_scene(scene, side))


def to_tensor(arrays: list[np.ndarray]) -> Tensor:
    """Byte pictures (N × H × W × 3) as floats in [-1, 1], N × 3 × H × W, channels last in memory."""
    batch = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    return batch.contiguous(memory_format=torch.channels_last)


def to_arrays(pixels: Tensor) -> np.ndarray:
    """Floats in [-1, 1] (N × 3 × H × W) as bytes N × H × W × 3; values outside are clipped."""
    bytes_ = pixels.detach().float().clamp(-1, 1).add(1).mul(127.5).round().byte()
    return bytes_.permute(0, 2, 3, 1).cpu().numpy()
