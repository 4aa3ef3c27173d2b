"""Scenes render the same every time, and every field of a scene changes the picture."""

import dataclasses

import numpy as np
import pytest

from models.training.scenes import BACKGROUNDS, LENSES, STYLES, SUBJECTS, Scene, painter_subjects, render_scene

BASE = Scene("fox", "a green meadow", "medium shot", "flat illustration")


def pixels(scene: Scene, size: int = 64) -> np.ndarray:
    return np.asarray(render_scene(scene, size), np.int16)


def difference(a: Scene, b: Scene) -> float:
    return float(np.abs(pixels(a) - pixels(b)).mean())


def test_a_scene_is_the_same_picture_every_time() -> None:
    assert (pixels(BASE) == pixels(dataclasses.replace(BASE))).all()


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "red apple"},
        {"background": "a starry night"},
        {"lens": "close-up"},
        {"style": "cartoon"},
        {"seed": 1},
        {"flip": True},
        {"jitter": 1.0},
    ],
)
def test_every_field_changes_the_picture(change: dict[str, object]) -> None:
    assert difference(BASE, dataclasses.replace(BASE, **change)) > 0.2


def test_all_backgrounds_are_told_apart() -> None:
    shown = [pixels(dataclasses.replace(BASE, background=name)) for name in BACKGROUNDS]
    for i, one in enumerate(shown):
        for other in shown[:i]:
            assert np.abs(one - other).mean() > 5


def test_all_styles_and_lenses_are_told_apart() -> None:
    shown = [pixels(dataclasses.replace(BASE, style=style, lens=lens)) for style in STYLES for lens in LENSES]
    for i, one in enumerate(shown):
        for other in shown[:i]:
            assert np.abs(one - other).mean() > 1


def test_the_place_of_the_subject_is_that_of_the_lens() -> None:
    plain = Scene("red apple", "plain white", "panoramic", "flat illustration")
    rows, columns = np.nonzero((pixels(plain, 128) < 250).any(-1))
    assert rows.min() >= 9 / 16 * 128 - 1 and rows.max() <= 15 / 16 * 128
    assert columns.min() >= 5 / 16 * 128 - 1 and columns.max() <= 11 / 16 * 128


def test_one_drawing_in_all_styles_or_one_for_each() -> None:
    cartoon = dataclasses.replace(BASE, style="cartoon", background="plain white")
    assert difference(cartoon, dataclasses.replace(cartoon, art="same")) > 1


@pytest.mark.parametrize("size", [32, 96, 256])
def test_any_size(size: int) -> None:
    picture = render_scene(BASE, size)
    assert picture.size == (size, size) and picture.mode == "RGB"


@pytest.mark.parametrize("field", ["background", "lens", "style", "art"])
def test_an_unknown_name_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        dataclasses.replace(BASE, **{field: "nonsense"})


def test_the_subject_table_is_whole() -> None:
    table = painter_subjects()
    assert "fox" in table and len(table) >= 40
    assert len(SUBJECTS) > 1000 and set(table) <= set(SUBJECTS)
    for subject in table.values():
        assert subject.en and subject.zh and subject.measure and subject.adjectives_en and subject.adjectives_zh
