"""Trains the vision tower alone: its 16 picture tokens must become the embeddings of the words that tell the scene.

The language half is not run: the targets are rows of its (tied) embedding table, so this costs minutes. Knows rendered
scenes and that table; knows nothing of conversations.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel

from models.training.director import vision
from models.training.director.dialogues import Picture
from models.training.director.rendering import SLOTS, Example, Renderer
from models.training.scenes import Scene, render_scene
from models.training.scenes.vocabulary import BACKGROUNDS, LENSES, STYLES, labels, painter_subjects

SHARPNESS = 20.0
"""Factor on the cosines between picture tokens and word embeddings in the cross-entropy."""

SLOT_WEIGHTS = torch.tensor([4.0] * 3 + [1.0] * (sum(SLOTS.values()) - 3))
"""The subject's first words count more: they are the hardest to see."""


def random_scene(rng: random.Random) -> Scene:
    """Mostly the starter painter's subjects, one in ten any emoji; every other field is drawn evenly."""
    subjects = list(painter_subjects()) if rng.random() < 0.9 else list(labels())
    return Scene(
        rng.choice(subjects), rng.choice(list(BACKGROUNDS)), rng.choice(list(LENSES)), rng.choice(list(STYLES)),
        seed=rng.randrange(1000), art="same" if rng.random() < 0.8 else "varied", jitter=rng.random() * 0.5,
        flip=rng.random() < 0.1,
    )  # fmt: skip


@cache
def _subject_label(words: str) -> str:
    """The label to render for a subject phrase: itself, the painter's name for it, or the longest one in it."""
    if words in labels():
        return words
    names = {name: label for label, subject in painter_subjects().items() for name in subject.en}
    names |= {label: label for label in labels()}
    found = [name for name in names if f" {name} " in f" {words} "]
    return names[max(found, key=len)] if found else "framed picture"


def scene_of(picture: Picture, seed: int = 0) -> Scene:
    """The scene that shows an attached picture, as nearly as it can be rendered."""
    return Scene(
        _subject_label(picture.subject),
        picture.background if picture.background in BACKGROUNDS else "plain white",
        picture.lens if picture.lens in LENSES else "medium shot",
        picture.style if picture.style in STYLES else "3D render",
        seed=seed,
    )


def draw(scene: Scene) -> Image.Image:
    """The picture the tower sees."""
    return render_scene(scene, vision.IMAGE_SIDE)


@dataclass
class Pool:
    """Rendered scenes kept as bytes, three quarters of each batch: rendering costs more than training on them."""

    rng: random.Random
    room: int = 8000
    pictures: list[tuple[np.ndarray, Scene]] = field(default_factory=list)

    def batch(self, size: int) -> tuple[Tensor, list[Scene]]:
        """Pixels [size, 3, S, S], normalised, and their scenes."""
        fresh = size if len(self.pictures) < 16 * size else size // 4
        for _ in range(fresh):
            scene = random_scene(self.rng)
            self.pictures.append((np.asarray(draw(scene)), scene))
        newest = self.pictures[-fresh:]
        chosen = newest + [self.rng.choice(self.pictures) for _ in range(size - fresh)]
        if len(self.pictures) > self.room:
            del self.pictures[: len(self.pictures) - self.room]
        return torch.stack([vision.pixels(Image.fromarray(a)) for a, _ in chosen]), [scene for _, scene in chosen]


def picture_of(scene: Scene) -> Picture:
    """A scene's four fields."""
    return Picture(scene.subject, scene.background, scene.lens, scene.style)


class Aligner:
    """The tower, the embedding table it aims at, and the optimiser."""

    def __init__(self, tower: Qwen2VisionTransformerPretrainedModel, table: Tensor, renderer: Renderer) -> None:
        self.tower, self.renderer = tower, renderer
        every = [Picture(s, b, n, t) for s in labels() for b in BACKGROUNDS for n in LENSES for t in STYLES][::97]
        every += [Picture(s, "", "", "") for s in labels()] + [Picture("", b, "", "") for b in BACKGROUNDS]
        every += [Picture("", "", n, "") for n in LENSES] + [Picture("", "", "", t) for t in STYLES]
        self.used = sorted({index for picture in every for index in renderer.picture_words(picture)})
        self.place = {index: row for row, index in enumerate(self.used)}
        self.rows = table[self.used].float()
        self.optimizer = torch.optim.AdamW(tower.parameters(), lr=1e-3, weight_decay=0.02, betas=(0.9, 0.98))

    def targets(self, scenes: list[Scene]) -> Tensor:
        """Rows of `self.rows` wanted at each picture token [B, 16]."""
        words = [self.renderer.picture_words(picture_of(scene)) for scene in scenes]
        return torch.tensor([[self.place[index] for index in row] for row in words])

    def scores(self, outputs: Tensor) -> Tensor:
        """Scaled cosines [B, 16, words] of picture tokens with the candidate words."""
        return SHARPNESS * functional.normalize(outputs.float(), dim=-1) @ functional.normalize(self.rows, dim=-1).T

    def loss(self, pictures: Tensor, scenes: list[Scene]) -> tuple[Tensor, Tensor]:
        """(loss, share of picture tokens whose nearest word is the wanted one)."""
        with torch.autocast("cpu", torch.bfloat16):
            outputs = vision.encode(self.tower, pictures).float()
        wanted, scores = self.targets(scenes), self.scores(outputs)
        each = functional.cross_entropy(scores.flatten(0, 1), wanted.flatten(), reduction="none").view(wanted.shape)
        words = (each * SLOT_WEIGHTS).mean()
        distance = functional.mse_loss(outputs, self.rows[wanted]) / self.rows.pow(2).mean()
        return words + 0.5 * distance, (scores.argmax(-1) == wanted).float().mean()

    def train(self, seconds: float, pool: Pool, log: Callable[[str], None], batch: int = 32) -> None:
        """Train for `seconds`, with a linear fall of the rate over the last 70%."""
        started, step = time.monotonic(), 0
        while (elapsed := time.monotonic() - started) < seconds:
            rate = min(1.0, step / 100) * min(1.0, max(0.02, (1 - elapsed / seconds) / 0.7))
            self.optimizer.param_groups[0]["lr"] = 1e-3 * rate
            loss, right = self.loss(*pool.batch(batch))
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.tower.parameters(), 1.0)
            self.optimizer.step()
            step += 1
            if step % 50 == 0:
                log(f"vision step {step} {elapsed:.0f} s loss {loss.item():.3f} words right {right.item():.3f}")

    @torch.no_grad()
    def fields_right(self, scenes: list[Scene]) -> dict[str, float]:
        """Share of scenes whose whole field (subject, background, lens, style) is read rightly."""
        pictures = torch.stack([vision.pixels(draw(scene)) for scene in scenes])
        right = self.scores(vision.encode(self.tower, pictures)).argmax(-1) == self.targets(scenes)
        result, at = {}, 0
        for name, room in SLOTS.items():
            result[name] = right[:, at : at + room].all(1).float().mean().item()
            at += room
        return result


class Eyes:
    """Shows an example's pictures to a finished tower; each picture is rendered and encoded once."""

    def __init__(self, tower: Qwen2VisionTransformerPretrainedModel) -> None:
        self.tower = tower
        self.known: dict[Picture, Tensor] = {}

    @torch.no_grad()
    def look(self, picture: Picture) -> Tensor:
        """Picture tokens [16, hidden]."""
        if picture not in self.known:
            pixels = vision.pixels(draw(scene_of(picture))).unsqueeze(0)
            self.known[picture] = vision.encode(self.tower, pixels)[0].half()
        return self.known[picture]

    def show(self, example: Example) -> Example:
        """The same example with its pictures seen."""
        example.seen = [self.look(picture) for _, picture in example.pictures]
        return example
