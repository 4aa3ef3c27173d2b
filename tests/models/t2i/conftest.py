"""Tiny painters of every family, made once a session: folders, original single files, an ONNX export."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from models.contracts import GenerationSpec, ImageRef, ModelDescription, Painted
from models.t2i import torch_single_file
from models.t2i.base import T2I
from models.t2i.export import export_onnx
from models.t2i.open import open_t2i
from tests.models.t2i import tiny


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Checkpoint:
    """A tiny painter on disk: the diffusers folder, and the original single file with its configurations if it has
    one."""

    folder: Path
    file: Path | None
    configs: Path | None


def _make(root: Path, family: str, pipeline: Any) -> Checkpoint:
    pipeline.save_pretrained(root / family)
    if family == "hunyuandit":
        return Checkpoint(root / family, None, None)
    file = tiny.save_single_file(pipeline, family, root / f"{family}.safetensors")
    tiny.save_configs(pipeline, root / "configs" / family)
    return Checkpoint(root / family, file, root / "configs")


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    root = tmp_path_factory.mktemp("painters")
    made = {family: _make(root, family, getattr(tiny, family)()) for family in ("sd15", "sd21", "sdxl")}
    shutil.copytree(root / "configs" / "sd21", root / "configs" / "sd21-base")
    return {**made, "hunyuandit": _make(root, "hunyuandit", tiny.hunyuandit(root))}


@pytest.fixture(scope="session")
def sd15(checkpoints: dict[str, Checkpoint]) -> Path:
    return checkpoints["sd15"].folder


@pytest.fixture(scope="session")
def sd15_onnx(sd15: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelDescription:
    """The tiny SD 1.5 with its ONNX export."""
    target = tmp_path_factory.mktemp("export") / "onnx"
    return tiny.describe(sd15, onnx=str(export_onnx(tiny.describe(sd15), target)))


@pytest.fixture(scope="session")
def torch_sd15(sd15: Path) -> T2I:
    """Shared by tests that do not change it."""
    return open_t2i(tiny.describe(sd15), backend="torch")


@pytest.fixture(scope="session")
def onnx_sd15(sd15_onnx: ModelDescription) -> T2I:
    return open_t2i(sd15_onnx, backend="onnx")


@pytest.fixture
def tiny_configs(checkpoints: dict[str, Checkpoint], monkeypatch: pytest.MonkeyPatch) -> None:
    """Single files of the tiny sizes need configurations of the tiny sizes; the tokenizer stays the carried one."""
    carried, small = torch_single_file.config_folder, checkpoints["sd15"].configs
    assert small is not None
    monkeypatch.setattr(
        torch_single_file, "config_folder", lambda name: carried(name) if name == "clip_tokenizer" else small / name
    )


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    """A copy that a test may damage."""

    def copy(source: Path) -> Path:
        target = tmp_path / source.name
        return Path(shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target))

    return copy


def make_spec(**more: Any) -> GenerationSpec:
    fields = {
        "prompt": "a red fox in the snow",
        "seed": 7,
        "width": 64,
        "height": 64,
        "steps": 2,
        "guidance_scale": 4.0,
    }
    return GenerationSpec(**{**fields, "scheduler": "euler", **more})


@pytest.fixture
def spec() -> Callable[..., GenerationSpec]:
    return make_spec


@pytest.fixture
def paint(tmp_path: Path) -> Iterator[Callable[..., Painted]]:
    """Paint to the end and return Painted."""

    def run(painter: T2I, **more: Any) -> Painted:
        *_, last = painter.paint(make_spec(**more), tmp_path / "out")
        assert isinstance(last, Painted)
        return last

    yield run


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., ImageRef]:
    """A colourful picture file of any size; a mask is white on its right half."""
    from PIL import Image

    def make(width: int, height: int, mask: bool = False) -> ImageRef:
        path = tmp_path / f"{'mask' if mask else 'picture'}-{width}x{height}.png"
        image = Image.radial_gradient("L").resize((width, height))
        if mask:
            image = Image.new("L", (width, height), 0)
            image.paste(255, (width // 2, 0, width, height))
        (image if mask else Image.merge("RGB", (image, image.rotate(90), image.point(lambda v: 255 - v)))).save(path)
        return ImageRef(str(path), "", width, height)

    return make
