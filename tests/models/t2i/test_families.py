"""Every family opens offline from a folder, and from an original single file, and paints."""

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from models.contracts import BadModelError, KnownError, ModelDescription, Painted
from models.t2i.base import T2I
from models.t2i.open import open_t2i
from models.t2i.single_file import recognise
from models.t2i.torch_single_file import probe_prediction
from tests.models.t2i import tiny
from tests.models.t2i.conftest import Checkpoint

FAMILY = {"sd15": "sd", "sd21": "sd", "sdxl": "sdxl", "hunyuandit": "hunyuandit"}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("name", FAMILY)
def test_a_folder_of_each_family_paints(
    name: str, checkpoints: dict[str, Checkpoint], paint: Callable[..., Painted]
) -> None:
    painter = open_t2i(tiny.describe(checkpoints[name].folder))
    painted = paint(painter)
    assert painter.info.family == FAMILY[name]
    with Image.open(painted.path) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (64, 64), "RGB")
        assert max(high - low for low, high in image.getextrema()) > 20


@pytest.mark.parametrize("name", ["sd15", "sd21", "sdxl"])
@pytest.mark.usefixtures("tiny_configs")
def test_a_single_file_paints_the_same_bytes_as_its_folder(
    name: str, checkpoints: dict[str, Checkpoint], paint: Callable[..., Painted]
) -> None:
    made = checkpoints[name]
    assert made.file
    # nothing in the tensors tells SD 2.x's v-prediction from epsilon; random weights do not answer the probe either
    known = {"prediction_type": "v_prediction"} if name == "sd21" else {}
    from_file = paint(open_t2i(tiny.describe(made.file, defaults=known)))
    from_folder = paint(open_t2i(tiny.describe(made.folder)))
    assert Path(from_file.path).read_bytes() == Path(from_folder.path).read_bytes()


def test_the_prediction_type_of_an_unmarked_sd2_is_probed(checkpoints: dict[str, Checkpoint]) -> None:
    file = checkpoints["sd21"].file
    assert file and recognise(file).prediction == ""
    unet = tiny.unet(24)
    assert probe_prediction(unet) == "epsilon"
    with torch.no_grad():
        unet.conv_out.bias.fill_(-3.0)  # answers far below its constant input, as a v-model does
    assert probe_prediction(unet) == "v_prediction"


@pytest.mark.parametrize(
    ("name", "metadata", "marks", "expected"),
    [
        ("v2-1_768-ema-pruned", {}, (), ("v_prediction", False)),
        ("some-sd2", {"modelspec.prediction_type": "v"}, (), ("v_prediction", False)),
        ("some-sd2", {"modelspec.architecture": "stable-diffusion-v2-768-v"}, (), ("v_prediction", False)),
        ("some-sd2", {"modelspec.prediction_type": "epsilon"}, (), ("epsilon", False)),
        ("some-sd2", {}, ("v_pred", "ztsnr"), ("v_prediction", True)),
    ],
)
def test_marks_of_the_prediction_type(
    checkpoints: dict[str, Checkpoint], tmp_path: Path, name: str, metadata: dict[str, str], marks: tuple[str, ...],
    expected: tuple[str, bool],
) -> None:  # fmt: skip
    source = checkpoints["sd21"].file
    assert source
    tensors = load_file(source) | {mark: torch.zeros(0) for mark in marks}
    save_file(tensors, tmp_path / f"{name}.safetensors", metadata=metadata)
    found = recognise(tmp_path / f"{name}.safetensors")
    assert (found.prediction, found.zero_terminal_snr) == expected


def test_recognition_reads_the_header_only(checkpoints: dict[str, Checkpoint]) -> None:
    found = {name: recognise(made.file) for name, made in checkpoints.items() if made.file}
    assert {name: (f.family, f.config) for name, f in found.items()} == {
        "sd15": ("sd", "sd15"), "sd21": ("sd", "sd21"), "sdxl": ("sdxl", "sdxl"),
    }  # fmt: skip


def test_the_painter_says_what_it_is(torch_sd15: T2I) -> None:
    info = torch_sd15.info
    assert (info.family, info.backend, info.device, info.dtype) == ("sd", "torch", "cpu", "fp32")
    assert (info.width, info.height, info.scheduler) == (64, 64, "pndm")
    assert info.image_to_image and info.inpainting
    assert info.size_min <= info.width <= info.size_max


def test_defaults_and_limits_of_the_description_win(sd15: Path) -> None:
    described = tiny.describe(
        sd15,
        defaults={"width": 128, "steps": 4, "guidance_scale": 1.0, "scheduler": "ddim", "negative_prompt": "blurry"},
        limits={"size_min": 64, "size_max": 256, "size_multiple": 32},
        languages=("en", "zh"),
    )
    info = open_t2i(described, backend="torch").info
    assert (info.width, info.steps, info.guidance_scale, info.scheduler) == (128, 4, 1.0, "ddim")
    assert (info.size_min, info.size_max, info.size_multiple) == (64, 256, 32)
    assert (info.negative_prompt, info.languages) == ("blurry", ("en", "zh"))


def test_auto_takes_the_export_on_the_processor_and_torch_without_one(sd15_onnx: ModelDescription) -> None:
    assert open_t2i(sd15_onnx, device="cpu").info.backend == "onnx"
    assert open_t2i(replace(sd15_onnx, onnx=None), device="cpu").info.backend == "torch"


def test_hunyuandit_has_no_picture_input(
    checkpoints: dict[str, Checkpoint], paint: Callable[..., Painted], picture: Callable[..., object]
) -> None:
    painter = open_t2i(tiny.describe(checkpoints["hunyuandit"].folder))
    assert not painter.info.image_to_image
    with pytest.raises(KnownError, match="from words only"):
        paint(painter, init_image=picture(64, 64))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backend": "tpu"}, "no back end 'tpu'"),
        ({"backend": "torch", "device": "cuda"}, "no device 'cuda'"),
        ({"backend": "torch", "dtype": "int8"}, "no precision 'int8'"),
        ({"backend": "onnx"}, "no ONNX export"),
    ],
)
def test_what_is_not_here_is_said_in_a_sentence(sd15: Path, options: dict[str, str], words: str) -> None:
    if torch.cuda.is_available() and options.get("device") == "cuda":
        pytest.skip("this machine has CUDA")
    with pytest.raises(KnownError, match=words):
        open_t2i(tiny.describe(sd15), **options)


def test_a_problem_found_by_the_registry_is_repeated(sd15: Path) -> None:
    with pytest.raises(BadModelError, match="no longer whole"):
        open_t2i(tiny.describe(sd15, problem="It is no longer whole."))


def test_a_model_that_went_away(tmp_path: Path) -> None:
    with pytest.raises(BadModelError, match="no longer at"):
        open_t2i(tiny.describe(tmp_path / "gone.safetensors"))


def test_a_missing_package_is_named(checkpoints: dict[str, Checkpoint], monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers import HunyuanDiTPipeline

    def fail(*_: object, **__: object) -> None:
        raise ImportError("\nT5Tokenizer requires the SentencePiece library but it was not found in your environment.")

    monkeypatch.setattr(HunyuanDiTPipeline, "from_pretrained", fail)
    with pytest.raises(KnownError, match="needs sentencepiece, which is not installed"):
        open_t2i(tiny.describe(checkpoints["hunyuandit"].folder))


# ---------------------------------------------------------------- LoRA
@pytest.fixture
def lora(sd15: Path, tmp_path: Path) -> Path:
    """A LoRA of random weights for the tiny U-Net, written as diffusers writes it."""
    from diffusers import StableDiffusionPipeline
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    unet = tiny.unet(16)
    unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    StableDiffusionPipeline.save_lora_weights(
        tmp_path, get_peft_model_state_dict(unet), weight_name="ink.v1.safetensors"
    )
    return tmp_path / "ink.v1.safetensors"


def test_a_lora_changes_the_picture(sd15: Path, lora: Path, torch_sd15: T2I, paint: Callable[..., Painted]) -> None:
    painter = open_t2i(tiny.describe(sd15, adapters=(str(lora),)))
    assert Path(paint(painter).path).read_bytes() != Path(paint(torch_sd15).path).read_bytes()


def test_a_lora_for_another_painter_is_refused(checkpoints: dict[str, Checkpoint], lora: Path) -> None:
    with pytest.raises(BadModelError, match=r"ink.v1.safetensors does not fit"):
        open_t2i(tiny.describe(checkpoints["hunyuandit"].folder, adapters=(str(lora),)))


def test_a_lora_needs_torch(sd15_onnx: ModelDescription, lora: Path) -> None:
    assert open_t2i(replace(sd15_onnx, adapters=(str(lora),))).info.backend == "torch"
    with pytest.raises(KnownError, match="torch back end"):
        open_t2i(replace(sd15_onnx, adapters=(str(lora),)), backend="onnx")
