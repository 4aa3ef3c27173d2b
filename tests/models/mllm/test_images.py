"""Pictures as people have them: turned, transparent, broken, enormous."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.contracts import BadInputError
from models.mllm.images import PictureFit, read_picture

SMALL = PictureFit(28, 28 * 28, 112 * 112)


def pixels(path: Path, fit: PictureFit = SMALL) -> np.ndarray:  # type: ignore[type-arg]
    picture = read_picture(path, fit)
    return np.frombuffer(picture.rgb, np.uint8).reshape(picture.height, picture.width, 3)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(20_000, 20_000), (20_001, 10), (11_000, 10_000), (2**31 - 1, 2**31 - 1)])
def test_enormous_pictures_are_refused_by_their_header(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "big.png"
    path.write_bytes(png_header(*size))
    with pytest.raises(BadInputError, match=r"big\.png.*large.*scale it down first"):
        read_picture(path, SMALL)


@pytest.mark.parametrize("content", [b"", b"hello", png_header(50, 50), b"\x89PNG\r\n\x1a\n", b"GIF89a\xff\xff"])
def test_broken_pictures(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=r"broken\.png is broken"):
        read_picture(path, SMALL)


def test_a_cut_off_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.effect_noise((300, 300), 80).save(path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(BadInputError):
        read_picture(path, SMALL)


def test_a_folder_and_nothing_at_all(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="broken or of an unknown kind"):
        read_picture(tmp_path, SMALL)
    with pytest.raises(BadInputError, match="not there any more"):
        read_picture(tmp_path / "gone.png", SMALL)


def test_it_stands_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (112, 56), "white")
    image.paste("red", (0, 0, 28, 56))
    exif = image.getexif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees to the right
    image.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    got = pixels(tmp_path / "turned.jpg")
    assert got.shape == (112, 56, 3)
    assert got[5, 28, 1] < 60 and got[100, 28, 1] > 200  # red is on top


def test_transparency_becomes_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (56, 56), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 28, 56))
    image.save(tmp_path / "a.png")
    got = pixels(tmp_path / "a.png")
    assert tuple(got[28, 50]) == (255, 255, 255)
    assert tuple(got[28, 5]) == (0, 0, 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "I;16", "RGB", "RGBA"])
def test_every_mode_is_read(tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((60, 60), 40_000, np.uint16))
    else:
        image = Image.new("RGB", (60, 60), (156, 156, 156)).convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    got = pixels(path)
    assert got.shape == (56, 56, 3)
    assert mode == "1" or abs(float(got.mean()) - 156) < 3


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (56, 56), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert tuple(pixels(tmp_path / "a.gif")[0, 0]) == (255, 0, 0) or pixels(tmp_path / "a.gif")[0, 0, 0] > 250


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(4, 600))
def test_sizes_fit_the_vision_part(width: int, height: int, tokens: int) -> None:
    fit = PictureFit(28, 4 * 28 * 28, tokens * 28 * 28)
    wide, high = fit.size(width, height)
    assert wide % 28 == high % 28 == 0 and wide > 0 and high > 0
    assert wide * high <= fit.max_pixels


@pytest.mark.parametrize("size", [(224, 224), (640, 480), (1000, 333), (50, 2000), (28, 28)])
def test_sizes_are_those_of_transformers(size: tuple[int, int]) -> None:
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    fit = PictureFit(28, 56 * 56, 576 * 28 * 28)
    high, wide = smart_resize(size[1], size[0], factor=28, min_pixels=fit.min_pixels, max_pixels=fit.max_pixels)
    assert fit.size(*size) == (wide, high)
