"""Wrong and damaged files: one sentence each, and llama.cpp never sees them."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from models.contracts import BadInputError, BadModelError, ImageRef, Message
from models.mllm.llama import LlamaMllm, open_mllm
from tests.models.mllm.conftest import STARTER, SYSTEM, ask, describe, user


def refused(**changes: object) -> str:
    """The sentence with which a description is refused."""
    with pytest.raises(BadModelError) as caught:
        open_mllm(describe(**changes), n_ctx=256, n_threads=1)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence
    return sentence


Fill = Callable[[gguf.GGUFWriter], None]


def write_gguf(path: Path, architecture: str, kind: str = "model", fill: Fill = lambda writer: None) -> Path:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(kind)
    fill(writer)
    if kind != "adapter":
        writer.add_tensor("x.weight", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def lora(width: int) -> Fill:
    """Random low-rank changes to eight attention outputs."""

    def fill(writer: gguf.GGUFWriter) -> None:
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", 8.0)
        random = np.random.default_rng(0)
        for layer in range(8):
            name = f"blk.{layer}.attn_output.weight"
            writer.add_tensor(f"{name}.lora_a", random.normal(0, 0.3, (4, width)).astype(np.float32))
            writer.add_tensor(f"{name}.lora_b", random.normal(0, 0.3, (width, 4)).astype(np.float32))

    return fill


def test_not_a_gguf(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"PK\x03\x04" + b"\0" * 100)
    assert "model.gguf is not a GGUF file" in refused(path=str(path))


def test_an_empty_file_a_folder_and_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.gguf").touch()
    assert "empty.gguf is not a GGUF file" in refused(path=str(tmp_path / "empty.gguf"))
    assert "cannot be read" in refused(path=str(tmp_path))
    assert "cannot be read" in refused(path=str(tmp_path / "gone.gguf"))
    assert "cannot be read" in refused(mmproj=str(tmp_path / "gone.gguf"))


@pytest.mark.parametrize("kept", [0.001, 0.5, 0.9999])
@pytest.mark.parametrize("part", ["path", "mmproj"])
def test_a_truncated_gguf(tmp_path: Path, part: str, kept: float) -> None:
    whole = Path(str(getattr(describe(), part))).read_bytes()
    path = tmp_path / "short.gguf"
    path.write_bytes(whole[: int(len(whole) * kept)])
    assert "short.gguf is incomplete" in refused(**{part: str(path)})


def test_the_vision_part_as_the_model_and_the_reverse() -> None:
    own = describe()
    assert "only the vision part" in refused(path=own.mmproj)
    assert "is not a vision part" in refused(mmproj=own.path)


def test_a_mismatched_pair(tmp_path: Path) -> None:
    def other_width(writer: gguf.GGUFWriter) -> None:
        writer.add_bool("clip.has_vision_encoder", True)
        writer.add_string("clip.projector_type", "qwen2vl_merger")
        writer.add_uint32("clip.vision.projection_dim", 2048)

    path = write_gguf(tmp_path / "mmproj.gguf", "clip", "mmproj", other_width)
    assert "output is 2048 wide, the model takes 576" in refused(mmproj=str(path))


def test_a_qwen_eye_on_another_kind_of_model(tmp_path: Path) -> None:
    def llama_like(writer: gguf.GGUFWriter) -> None:
        writer.add_embedding_length(576)
        writer.add_token_list(["a", "b"])

    path = write_gguf(tmp_path / "llama.gguf", "llama", fill=llama_like)
    assert "is a llama model" in refused(path=str(path))


def test_an_architecture_llama_cpp_does_not_know(tmp_path: Path) -> None:
    def unknown(writer: gguf.GGUFWriter) -> None:
        writer.add_uint32("brandnew.embedding_length", 32)
        writer.add_token_list(["a", "b"])

    path = write_gguf(tmp_path / "new.gguf", "brandnew", fill=unknown)
    assert "unknown model architecture: 'brandnew'" in refused(path=str(path), mmproj=None)


def test_no_language_model_no_tokenizer(tmp_path: Path) -> None:
    assert "holds no language model" in refused(path=str(write_gguf(tmp_path / "a.gguf", "llama")), mmproj=None)
    path = write_gguf(tmp_path / "b.gguf", "llama", fill=lambda w: w.add_embedding_length(32))
    assert "has no tokenizer" in refused(path=str(path), mmproj=None)


def test_adapters_that_are_none_or_for_another_model(tmp_path: Path) -> None:
    assert "is not a LoRA adapter" in refused(adapters=(describe().path,))
    empty = write_gguf(tmp_path / "empty.gguf", "qwen2vl", "adapter")
    assert "is not a LoRA adapter" in refused(adapters=(str(empty),))
    other = write_gguf(tmp_path / "other.gguf", "gemma3", "adapter", lora(64))
    assert "is for gemma3 models" in refused(adapters=(str(other),))
    assert "is a LoRA adapter" in refused(path=str(other), mmproj=None)
    wide = write_gguf(tmp_path / "wide.gguf", "qwen2vl", "adapter", lora(64))
    assert "wide.gguf does not fit" in refused(adapters=(str(wide),))


def test_a_part_of_a_split_model_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "big-00001-of-00003.gguf"
    path.symlink_to(describe().path)
    assert "big-00002-of-00003.gguf is missing" in refused(path=str(path))
    later = tmp_path / "big-00002-of-00003.gguf"
    later.symlink_to(describe().path)
    assert "choose its part 00001-of-00003" in refused(path=str(later))


def test_a_lora_adapter_changes_the_answer(tmp_path: Path, starter: LlamaMllm) -> None:
    path = write_gguf(tmp_path / "style.gguf", "qwen2vl", "adapter", lora(576))
    chat = (SYSTEM, user("Tell me about boats"))
    with contextlib.closing(open_mllm(describe(mmproj=None, adapters=(str(path),)), n_ctx=256, n_threads=1)) as mllm:
        adapted = ask(mllm, *chat).done.raw
    assert adapted != ask(starter, *chat).done.raw


def test_a_vision_model_without_its_vision_part_still_talks(blind: LlamaMllm, tmp_path: Path) -> None:
    assert ask(blind, SYSTEM, user("Hello")).done.finish in ("stop", "length")
    with pytest.raises(BadInputError, match="put its mmproj file beside"):
        ask(blind, user("What is it?", ImageRef(str(tmp_path / "x.png"), "0" * 64, 8, 8)))


def test_closing_twice_and_opening_again() -> None:
    mllm = open_mllm(describe(), n_ctx=256, n_threads=1)
    first = ask(mllm, SYSTEM, user("Hello")).done.raw
    mllm.close()
    mllm.close()
    with contextlib.closing(open_mllm(describe(), n_ctx=256, n_threads=1)) as again:
        assert ask(again, SYSTEM, user("Hello")).done.raw == first


def test_llama_cpp_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with contextlib.closing(open_mllm(describe(), n_ctx=256, n_threads=1)) as mllm:
        ask(mllm, Message("user", "Hello", turn=0))
    heard = capfd.readouterr()
    assert heard.out == heard.err == ""


def test_torch_is_never_imported() -> None:
    import subprocess
    import sys

    code = (
        "import sys, models.mllm.llama, models.mllm.bench; print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=STARTER.parents[2]
    )
    assert done.stdout.split() == ["False", "False"]
