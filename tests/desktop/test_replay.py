"""What counts as the same picture."""

from pathlib import Path

import pytest
from PIL import Image

from desktop.replay import compare


def save(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (8, 8)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


@pytest.mark.parametrize(
    ("colour", "verdict"),
    [((100, 100, 100), "same bytes"), ((101, 100, 99), "perceptually same"), ((140, 100, 100), "drifted")],
)
def test_verdicts(tmp_path: Path, colour: tuple[int, int, int], verdict: str) -> None:
    one, two = save(tmp_path / "a.png", (100, 100, 100)), save(tmp_path / "b.png", colour)
    assert compare(one, two)["verdict"] == verdict


def test_a_missing_picture_is_told(tmp_path: Path) -> None:
    painted = save(tmp_path / "b.png", (1, 1, 1))
    assert compare(tmp_path / "gone.png", painted)["verdict"] == "missing"


def test_another_size_has_drifted(tmp_path: Path) -> None:
    one, two = save(tmp_path / "a.png", (1, 1, 1)), save(tmp_path / "b.png", (1, 1, 1), (16, 8))
    assert compare(one, two)["verdict"] == "drifted"
