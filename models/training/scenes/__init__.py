"""Rendered scenes with known contents: the training data of both starter models.

A scene is a subject (open emoji art) before a painted background, seen through a lens, in a style. Knows nothing of
models, tokenizers or dialogues.
"""

from models.training.scenes.render import render_scene
from models.training.scenes.sprites import art_folder, sprite
from models.training.scenes.vocabulary import BACKGROUNDS, LENSES, STYLES, Scene, Subject, labels, painter_subjects

#: Every subject that can be rendered: emoji label -> Chinese name.
SUBJECTS: dict[str, str] = labels()

__all__ = [
    "BACKGROUNDS",
    "LENSES",
    "STYLES",
    "SUBJECTS",
    "Scene",
    "Subject",
    "art_folder",
    "labels",
    "painter_subjects",
    "render_scene",
    "sprite",
]
