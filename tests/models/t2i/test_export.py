"""The export: proven before it counts, whole or not there at all."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.contracts import BadModelError, KnownError, ModelDescription, OutOfMemoryError, Painted
from models.t2i import export as export_module
from models.t2i.export import export_onnx
from models.t2i.open import open_t2i
from tests.models.t2i import tiny
from tests.models.t2i.conftest import Checkpoint


def test_the_export_stands_alone_and_names_no_folder_of_this_machine(sd15_onnx: ModelDescription) -> None:
    assert sd15_onnx.onnx
    folder = Path(sd15_onnx.onnx)
    assert (folder / "unet" / "model.onnx").is_file() and (folder / "vae_encoder" / "model.onnx").is_file()
    for path in folder.rglob("*.json"):
        assert str(folder.parent) not in path.read_text(encoding="utf-8")
        assert sd15_onnx.path not in path.read_text(encoding="utf-8")
    assert [p.name for p in folder.parent.iterdir()] == ["onnx"]


@pytest.mark.usefixtures("tiny_configs")
def test_a_single_file_is_exported_over_an_older_export(
    checkpoints: dict[str, Checkpoint], tmp_path: Path, paint: Callable[..., Painted]
) -> None:
    file, target = checkpoints["sd15"].file, tmp_path / "exports" / "onnx"
    assert file
    target.mkdir(parents=True)
    (target / "stale.txt").write_text("old", encoding="utf-8")
    stages: list[str] = []
    exported = export_onnx(tiny.describe(file), target, stages.append)
    assert stages == ["loading", "exporting", "checking"]
    assert not (target / "stale.txt").exists()
    assert paint(open_t2i(tiny.describe(file, onnx=str(exported)))).spec.backend == "onnx"


def test_a_family_without_an_exporter(checkpoints: dict[str, Checkpoint], tmp_path: Path) -> None:
    with pytest.raises(KnownError, match="no ONNX exporter for hunyuandit"):
        export_onnx(tiny.describe(checkpoints["hunyuandit"].folder), tmp_path / "onnx")


def test_a_painter_with_lora_files(sd15: Path, tmp_path: Path) -> None:
    with pytest.raises(KnownError, match="cannot carry LoRA"):
        export_onnx(tiny.describe(sd15, adapters=("a.safetensors",)), tmp_path / "onnx")


def test_no_space(sd15: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(KnownError, match="GB free; make room"):
        export_onnx(tiny.describe(sd15), tmp_path / "deeper" / "onnx")


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (OSError(28, "No space left on device"), KnownError, "No space left on device"),
        (MemoryError(), OutOfMemoryError, "not enough memory"),
    ],
)
def test_a_fault_in_the_middle_leaves_nothing(
    sd15: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception, error: type[Exception], words: str
) -> None:
    def fail(painter: Any, folder: Path) -> None:
        (folder / "unet").mkdir()
        raise fault

    monkeypatch.setattr(export_module, "_export", fail)
    with pytest.raises(error, match=words):
        export_onnx(tiny.describe(sd15), tmp_path / "onnx")
    assert not list(tmp_path.iterdir())


def test_an_export_that_paints_something_else_is_thrown_away(
    sd15: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = export_module._export

    def wrong(painter: Any, folder: Path) -> None:
        whole(painter, folder)
        with torch.no_grad():
            painter._base.unet.conv_out.weight.mul_(1.5)

    monkeypatch.setattr(export_module, "_export", wrong)
    with pytest.raises(BadModelError, match="does not paint what torch paints"):
        export_onnx(tiny.describe(sd15), tmp_path / "onnx")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- damaged exports
@pytest.mark.parametrize("part", ["unet", "vae_decoder", "text_encoder"])
def test_an_export_with_a_part_missing(sd15_onnx: ModelDescription, copy_of: Callable[[Path], Path], part: str) -> None:
    assert sd15_onnx.onnx
    folder = copy_of(Path(sd15_onnx.onnx))
    (folder / part / "model.onnx").unlink()
    with pytest.raises(BadModelError, match=f"lacks {part}/model.onnx; export the painter again"):
        open_t2i(tiny.describe(Path(sd15_onnx.path), onnx=str(folder)), backend="onnx")


def test_a_truncated_export(sd15_onnx: ModelDescription, copy_of: Callable[[Path], Path]) -> None:
    assert sd15_onnx.onnx
    folder = copy_of(Path(sd15_onnx.onnx))
    model = folder / "unet" / "model.onnx"
    model.write_bytes(model.read_bytes()[:1000])
    with pytest.raises(BadModelError, match="is damaged"):
        open_t2i(tiny.describe(Path(sd15_onnx.path), onnx=str(folder)), backend="onnx")


def test_an_export_without_a_vae_encoder_paints_from_words_only(
    sd15_onnx: ModelDescription, copy_of: Callable[[Path], Path], paint: Callable[..., Painted]
) -> None:
    assert sd15_onnx.onnx
    folder = copy_of(Path(sd15_onnx.onnx))
    shutil.rmtree(folder / "vae_encoder")
    painter = open_t2i(tiny.describe(Path(sd15_onnx.path), onnx=str(folder)), backend="onnx")
    assert not painter.info.image_to_image and paint(painter).width == 64


def test_an_export_of_another_kind(sd15_onnx: ModelDescription, copy_of: Callable[[Path], Path]) -> None:
    assert sd15_onnx.onnx
    folder = copy_of(Path(sd15_onnx.onnx))
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "ORTFluxPipeline"}), encoding="utf-8")
    with pytest.raises(BadModelError, match="FluxPipeline"):
        open_t2i(tiny.describe(Path(sd15_onnx.path), onnx=str(folder)), backend="onnx")
