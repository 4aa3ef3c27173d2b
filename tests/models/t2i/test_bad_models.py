"""Model files that cannot be used: refused with one sentence that says what to do, before torch reads a weight."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.contracts import BadModelError
from models.t2i.open import open_t2i
from models.t2i.single_file import recognise
from tests.models.t2i import tiny
from tests.models.t2i.conftest import Checkpoint

Copy = Callable[[Path], Path]


def refusal(path: Path) -> str:
    with pytest.raises(BadModelError) as caught:
        open_t2i(tiny.describe(path), backend="torch")
    sentence = str(caught.value)
    assert sentence.count("\n") == 0 and sentence.endswith(".")
    return sentence


# ---------------------------------------------------------------- single files
@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".pth", ".bin"])
def test_a_pickle_is_refused_and_the_reason_given(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"anime{suffix}"
    torch.save({"state_dict": {}}, path)
    sentence = refusal(path)
    assert "can run any program" in sentence and ".safetensors" in sentence


def test_a_truncated_file_says_how_much_is_missing(checkpoints: dict[str, Checkpoint], copy_of: Copy) -> None:
    made = checkpoints["sd15"].file
    assert made
    path = copy_of(made)
    whole = path.stat().st_size
    with path.open("rb+") as file:
        file.truncate(whole - 1000)
    sentence = refusal(path)
    assert "incomplete" in sentence and f"{whole:,}" in sentence and f"{whole - 1000:,}" in sentence


@pytest.mark.parametrize("content", [b"", b"GGUF", b"\x10\x00\x00\x00\x00\x00\x00\x00not json at all", b"\xff" * 64])
def test_something_else_with_the_right_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert "not a safetensors file" in refusal(path)


def header_only(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, str(path))
    return path


UNET = {"model.diffusion_model.input_blocks.0.0.weight": (8, 4, 3, 3)}
POSITION = "transformer.text_model.embeddings.position_embedding.weight"


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"lora_unet_down.lora_up.weight": (2, 2)}, "is a LoRA"),
        ({"unet.down.to_q.lora_A.weight": (2, 2)}, "is a LoRA"),
        ({"model.diffusion_model.joint_blocks.0.x": (2,)}, "Stable Diffusion 3"),
        ({"double_blocks.0.img_attn.norm.key_norm.scale": (2,)}, "Flux"),
        ({"control_model.time_embed.0.weight": (2,)}, "ControlNet"),
        ({"decoder.conv_in.weight": (2, 2)}, "no painter that Limner knows"),
        (UNET | {"conditioner.embedders.0.model.text_projection": (2, 2)}, "SDXL refiner"),
        ({"model.diffusion_model.input_blocks.0.0.weight": (8, 9, 3, 3)}, "an inpainting checkpoint"),
        ({"model.diffusion_model.input_blocks.0.0.weight": (8, 8, 3, 3)}, "instruct-pix2pix"),
        (UNET, "no text encoder"),
        (UNET | {f"cond_stage_model.{POSITION}": (77, 8)}, "no VAE"),
    ],
)
def test_other_kinds_of_safetensors_are_named(tmp_path: Path, shapes: dict[str, tuple[int, ...]], words: str) -> None:
    path = header_only(tmp_path / "file.safetensors", shapes)
    with pytest.raises(BadModelError, match=words):
        recognise(path)


def test_a_file_whose_shapes_do_not_fit_its_family(checkpoints: dict[str, Checkpoint]) -> None:
    file = checkpoints["sd15"].file  # tiny, while the carried configuration is for the true size
    assert file
    assert "does not fit its family" in refusal(file) and "(320, 4, 3, 3)" in refusal(file)


@pytest.mark.usefixtures("tiny_configs")
def test_a_file_that_lacks_a_weight(checkpoints: dict[str, Checkpoint], tmp_path: Path) -> None:
    source = checkpoints["sd15"].file
    assert source
    tensors = load_file(source)
    del tensors["model.diffusion_model.middle_block.0.in_layers.2.weight"]
    path = tmp_path / "pruned.safetensors"
    save_file(tensors, str(path))
    assert "lacks some of its weights" in refusal(path)


# ---------------------------------------------------------------- folders
@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_folder_with_a_part_missing_names_it(sd15: Path, copy_of: Copy, part: str) -> None:
    folder = copy_of(sd15)
    (folder / part).rename(folder.parent / f"{part}-elsewhere")
    assert f"lacks its part '{part}'" in refusal(folder)


@pytest.mark.parametrize(
    "file", ["model_index.json", "unet/config.json", "text_encoder/config.json", "scheduler/scheduler_config.json"]
)
def test_a_configuration_that_is_missing_or_damaged_is_named(sd15: Path, copy_of: Copy, file: str) -> None:
    folder = copy_of(sd15)
    (folder / file).write_text("{", encoding="utf-8")
    assert f"{file} is damaged" in refusal(folder)
    (folder / file).unlink()
    assert f"has no {file}" in refusal(folder)


def test_a_part_with_only_a_pickle(sd15: Path, copy_of: Copy) -> None:
    folder = copy_of(sd15)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    sentence = refusal(folder)
    assert "sd15/unet has only diffusion_pytorch_model.bin" in sentence and "can run any program" in sentence


def test_a_part_with_no_weights_at_all(sd15: Path, copy_of: Copy) -> None:
    folder = copy_of(sd15)
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    assert "sd15/vae has no .safetensors file" in refusal(folder)


def test_a_truncated_part(sd15: Path, copy_of: Copy) -> None:
    folder = copy_of(sd15)
    path = folder / "text_encoder" / "model.safetensors"
    with path.open("rb+") as file:
        file.truncate(path.stat().st_size // 2)
    assert "model.safetensors is incomplete" in refusal(folder)


def test_a_missing_shard(sd15: Path, copy_of: Copy) -> None:
    folder = copy_of(sd15)
    index = {"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert "sd15/unet lacks model-00001-of-00002.safetensors" in refusal(folder)


def test_weights_of_another_model(checkpoints: dict[str, Checkpoint], copy_of: Copy) -> None:
    folder = copy_of(checkpoints["sd15"].folder)
    other = checkpoints["sd21"].folder / "text_encoder" / "model.safetensors"
    (folder / "text_encoder" / "model.safetensors").write_bytes(other.read_bytes())
    assert "do not fit together" in refusal(folder)


def test_missing_weights_are_not_filled_with_noise(sd15: Path, copy_of: Copy) -> None:
    folder = copy_of(sd15)
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    del tensors["conv_out.weight"]
    save_file(tensors, str(path), metadata={"format": "pt"})
    assert "sd15/unet" in refusal(folder)


def test_a_pipeline_of_another_kind(sd15: Path, copy_of: Copy) -> None:
    folder = copy_of(sd15)
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": "FluxPipeline"}), encoding="utf-8")
    assert "is a FluxPipeline" in refusal(folder)


def test_half_precision_variants_are_used(sd15: Path, copy_of: Copy) -> None:
    folder = copy_of(sd15)
    for path in folder.rglob("*.safetensors"):
        path.rename(path.with_name(f"{path.stem}.fp16.safetensors"))
    assert open_t2i(tiny.describe(folder), backend="torch").info.dtype == "fp32"


def test_a_lora_that_is_a_pickle(sd15: Path, tmp_path: Path) -> None:
    path = tmp_path / "style.pt"
    torch.save({}, path)
    with pytest.raises(BadModelError, match="is a pickle"):
        open_t2i(tiny.describe(sd15, adapters=(str(path),)))
