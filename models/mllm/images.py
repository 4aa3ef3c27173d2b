"""Opens a picture file as the MLLM's vision part wants it: upright, RGB, small enough.

Knows pixels only: neither llama.cpp nor tokens nor the conversation.
"""

import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from models.contracts import BadInputError

MAX_SIDE = 20_000
MAX_PIXELS = 100_000_000
"""Larger pictures are refused by their header alone, before anything is decompressed."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")


@dataclass(frozen=True)
class PictureFit:
    """Sizes a vision part takes: sides are multiples of `unit` pixels, the area lies between the two limits."""

    unit: int
    min_pixels: int
    max_pixels: int

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The size Qwen2-VL's own preprocessing gives (smart_resize: aspect ratio kept as nearly as units allow)."""
        unit = self.unit
        wide, high = max(unit, round(width / unit) * unit), max(unit, round(height / unit) * unit)
        if wide * high < self.min_pixels:
            scale = (self.min_pixels / (width * height)) ** 0.5
            wide, high = (-int(-side * scale // unit) * unit for side in (width, height))
        if wide * high > self.max_pixels:
            scale = (width * height / self.max_pixels) ** 0.5
            wide, high = (max(unit, int(side / scale / unit) * unit) for side in (width, height))
        # A strip of 20,000 × 1 pixels still comes out too large: a side cannot be below one unit.
        most = max(1, self.max_pixels // unit**2) * unit
        return (min(wide, most), high) if wide > high else (wide, min(high, most))


@dataclass(frozen=True)
class Pixels:
    """An RGB picture, 3 bytes a pixel, row by row."""

    width: int
    height: int
    rgb: bytes


def read_picture(path: Path | str, fit: PictureFit) -> Pixels:
    """Decode, turn upright (EXIF), lay on white, resize to `fit`.

    Raises BadInputError if the file is missing, broken, of an unknown format, or too large.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large or odd files; we refuse or accept them ourselves
            with Image.open(path, formats=FORMATS) as image:
                _check_size(path, *image.size)
                image.draft("RGB", fit.size(*image.size))
                upright = ImageOps.exif_transpose(image)
                flat = _on_white(upright)
    except Image.DecompressionBombError:
        raise _too_large(path, "is too large") from None
    except FileNotFoundError:
        raise BadInputError(f"The picture {path} is not there any more; attach it again.") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError) as error:
        raise BadInputError(f"The picture {path.name} is broken or of an unknown kind; attach another one.") from error
    small = flat.resize(fit.size(*flat.size), Image.Resampling.BICUBIC)
    return Pixels(small.width, small.height, small.tobytes())


def _check_size(path: Path, width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise _too_large(path, f"is {width:,}×{height:,} pixels large")


def _too_large(path: Path, what: str) -> BadInputError:
    limit = f"at most {MAX_SIDE:,} pixels a side and {MAX_PIXELS // 1_000_000} megapixels can be read"
    return BadInputError(f"The picture {path.name} {what}, but {limit}; scale it down first.")


def _on_white(image: Image.Image) -> Image.Image:
    """RGB, transparency laid on white, 16-bit greys brought down to 8."""
    if image.mode.startswith("I;16") or image.mode == "I":
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("RGB")
