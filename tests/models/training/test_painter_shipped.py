"""The shipped starter painter: whole, deterministic, and drawing what it is asked for in both languages."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

FOLDER = Path(__file__).parents[3] / "resources" / "models" / "limner-starter-sd"
NIGHT = "A fox, the background is a starry night, the lens is medium shot, the style is cartoon"
SNOW = "一只狐狸，背景是雪山，镜头是中景，风格是卡通"


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionPipeline:
    loaded = StableDiffusionPipeline.from_pretrained(
        FOLDER, torch_dtype=torch.float32, use_safetensors=True, safety_checker=None, requires_safety_checker=False
    )
    loaded.set_progress_bar_config(disable=True)
    return loaded


def draw(pipeline: StableDiffusionPipeline, prompt: str, seed: int = 3) -> np.ndarray:
    noise = torch.Generator("cpu").manual_seed(seed)
    return pipeline(prompt, num_inference_steps=8, guidance_scale=4.0, generator=noise, output_type="np").images[0]


def test_the_files_are_those_of_the_manifest() -> None:
    told = json.loads((FOLDER / "limner-model.json").read_text(encoding="utf-8"))
    assert told["name"] == "limner-starter-sd" and told["languages"] == ["en", "zh"]
    for name, entry in told["files"].items():
        content = (FOLDER / name).read_bytes()
        assert len(content) == entry["bytes"] and hashlib.sha256(content).hexdigest() == entry["sha256"], name
    assert sum(entry["bytes"] for entry in told["files"].values()) < 75e6


def test_the_same_seed_gives_the_same_picture(pipeline: StableDiffusionPipeline) -> None:
    first = draw(pipeline, NIGHT)
    assert (first == draw(pipeline, NIGHT)).all()
    assert np.abs(first - draw(pipeline, NIGHT, seed=4)).mean() > 0.001


def test_backgrounds_are_as_asked_in_both_languages(pipeline: StableDiffusionPipeline) -> None:
    night, snow = draw(pipeline, NIGHT), draw(pipeline, SNOW)
    # The corner above left: the night's is dark, the snowy mountain's a light blue sky.
    assert night[:24, :24].mean() < 0.3 < 0.5 < snow[:24, :24].mean()
    assert snow[:24, :24, 2].mean() > snow[:24, :24, 0].mean()


def test_the_fox_is_orange_in_the_middle(pipeline: StableDiffusionPipeline) -> None:
    for prompt in (NIGHT, SNOW):
        face = draw(pipeline, prompt)[64:90, 48:80]
        assert face[..., 0].mean() > face[..., 2].mean() + 0.2
