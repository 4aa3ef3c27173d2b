"""Specs a painter cannot do are refused before any work, naming what is possible; nothing is snapped or guessed."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from models.contracts import SEED_MAX, BadInputError, GenerationSpec, ImageRef, KnownError
from models.t2i.base import T2I

Spec = Callable[..., GenerationSpec]


def refusal(painter: T2I, spec: GenerationSpec, folder: Path) -> str:
    with pytest.raises(BadInputError) as caught:
        next(iter(painter.paint(spec, folder)))
    assert not list(folder.glob("*.png"))
    return str(caught.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": " \n\t"}, "no words to paint"),
        ({"seed": -1}, f"from 0 to {SEED_MAX}"),
        ({"seed": SEED_MAX + 1}, f"from 0 to {SEED_MAX}"),
        ({"width": 0}, "width of 0 px; choose a multiple of 8 from 16 to 128"),
        ({"height": 4096}, "height of 4096 px"),
        ({"width": 60}, "multiple of 8"),
        ({"steps": 0}, "0 steps"),
        ({"steps": 1000}, "from 1 to 150"),
        ({"scheduler": "lcm", "steps": 51}, "lcm cannot do 51 steps; choose from 1 to 50"),
        ({"scheduler": ""}, "choose one of ddim"),
        ({"scheduler": "ays"}, "no scheduler 'ays'; choose one of ddim"),
        ({"guidance_scale": float("nan")}, "guidance scale"),
        ({"guidance_scale": -1.0}, "guidance scale"),
    ],
)
def test_a_bad_field_is_named(
    torch_sd15: T2I, spec: Spec, tmp_path: Path, fields: dict[str, object], words: str
) -> None:
    assert words in refusal(torch_sd15, spec(**fields), tmp_path)


def test_the_onnx_multiple_is_every_level_of_the_unet(onnx_sd15: T2I, spec: Spec, tmp_path: Path) -> None:
    assert "multiple of 16" in refusal(onnx_sd15, spec(width=72), tmp_path)


def test_bad_strengths_and_masks(torch_sd15: T2I, spec: Spec, tmp_path: Path, picture: Callable[..., ImageRef]) -> None:
    given = picture(64, 64)
    assert "strength 0" in refusal(torch_sd15, spec(init_image=given, strength=0.0), tmp_path / "out")
    assert "no whole step" in refusal(torch_sd15, spec(init_image=given, strength=0.3, steps=2), tmp_path / "out")
    assert "needs a picture" in refusal(torch_sd15, spec(mask_image=given), tmp_path / "out")


def test_pictures_that_cannot_be_opened(torch_sd15: T2I, spec: Spec, tmp_path: Path) -> None:
    ref = ImageRef(str(tmp_path / "sitter.png"), "", 64, 64)
    wanted = spec(init_image=ref, strength=1.0)
    out = tmp_path / "out"
    assert "sitter.png is gone" in refusal(torch_sd15, wanted, out)
    Path(ref.path).write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    assert "not a picture Limner can open" in refusal(torch_sd15, wanted, out)
    Path(ref.path).write_bytes(png_header(20_000, 20_000))
    assert "more than 89 million pixels" in refusal(torch_sd15, wanted, out)
    Path(ref.path).write_bytes(png_header(10_000, 10_000))
    assert "more than 89 million pixels" in refusal(torch_sd15, wanted, out)


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is and then ends: the size must be refused before anything is decoded."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + b"\0\0\0\0IDAT"


def test_half_a_picture(torch_sd15: T2I, spec: Spec, tmp_path: Path, picture: Callable[..., ImageRef]) -> None:
    ref = picture(200, 200)
    content = Path(ref.path).read_bytes()
    Path(ref.path).write_bytes(content[: len(content) // 2])
    assert "broken" in refusal(torch_sd15, spec(init_image=ref, strength=1.0), tmp_path / "out")


@pytest.mark.parametrize(
    "prompt", ["x" * 1_000_000, "ثعلب أحمر في الثلج", "🦊❄️👩‍👩‍👧‍👦", "a\x00b\x07c\u202efox\u200b", "a fox " * 200_000]
)
def test_strange_and_endless_prompts_are_painted(torch_sd15: T2I, spec: Spec, tmp_path: Path, prompt: str) -> None:
    *_, painted = torch_sd15.paint(spec(prompt=prompt, negative_prompt=prompt, steps=1), tmp_path)
    assert painted.spec.prompt == prompt  # type: ignore[union-attr]


def test_a_folder_that_cannot_be_written(torch_sd15: T2I, spec: Spec, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(KnownError, match="cannot be written"):
        list(torch_sd15.paint(replace(spec(), steps=1), tmp_path / "file"))
