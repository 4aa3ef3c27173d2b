"""The numbers of one training run, read from a JSON file beside this module or of your own.

Knows names and ranges, not what is done with them.
"""

import json
from dataclasses import dataclass, fields
from pathlib import Path

from models.contracts import KnownError

CONFIGS = Path(__file__).parent / "configs"


@dataclass(frozen=True)
class PainterConfig:
    """One run. Sides are pixels and multiples of 8; minutes are wall clock; shares are 0 to 1.

    subjects: labels of the subject table; styles and lenses: how often each is seen.
    scenes: how many scenes are encoded for the U-Net; jittered: the share of them with moved and flipped subjects.
    jitter_from, varied_from: the share of the U-Net's time after which those scenes, and all the ways of saying a
    scene, join in (before, most captions are plain); above 1: never.
    """

    name: str
    side: int
    subjects: list[str]
    styles: dict[str, float]
    lenses: dict[str, float]
    backgrounds: list[str]
    vae_channels: list[int]
    vae_batch: int
    vae_crop: int
    vae_minutes: float
    vae_rate: float
    scenes: int
    jittered: float
    unet_channels: list[int]
    unet_batch: int
    unet_minutes: float
    unet_rate: float
    text_width: int
    text_layers: int
    empty_captions: float
    jitter_from: float
    varied_from: float
    bfloat16: bool
    device: str
    threads: int
    preview_minutes: float
    beta_end: float = 0.02
    latent_channels: int = 4
    kl_weight: float = 3e-4


def load_config(name: str) -> PainterConfig:
    """The named configuration ("cpu-128") or a path to a JSON file. Raises KnownError where it is not usable."""
    path = Path(name) if name.endswith(".json") else CONFIGS / f"{name}.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(sorted(p.stem for p in CONFIGS.glob("*.json")))
        raise KnownError(
            f"There is no training configuration {name!r}; choose one of {known} or give a JSON file."
        ) from error
    except ValueError as error:
        raise KnownError(f"{path.name} is not valid JSON ({error}); correct it and start again.") from error
    wanted = {f.name for f in fields(PainterConfig)}
    if unknown := set(values) - wanted:
        raise KnownError(f"{path.name} has unknown settings {sorted(unknown)}; the known ones are {sorted(wanted)}.")
    return PainterConfig(**values)
