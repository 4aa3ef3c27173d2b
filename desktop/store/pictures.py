"""Pictures from outside, made safe and plain: checked, turned upright, PNG in RGB or RGBA, no metadata.

Knows no folders of the library and no rows. A picture is never decoded before its size is known.
"""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from models.contracts import BadInputError

MAX_PIXELS = 100_000_000
MAX_BYTES = 1 << 30
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""What is read; Pillow also knows formats that start other programs, such as EPS."""

_warnings_lock = threading.Lock()


@dataclass(frozen=True)
class Normalised:
    """A PNG file in memory. Size in pixels."""

    data: bytes
    width: int
    height: int


def normalise(path: Path) -> Normalised:
    """Read, check and re-encode a picture. The same file always gives the same bytes.

    Raises BadInputError with one sentence if there is no picture, it is broken or it has more than MAX_PIXELS.
    """
    source = _contents(path)
    with _quiet(), _opened(source, path) as image:
        if image.width * image.height > MAX_PIXELS:
            raise _too_large(path)
        plain = _upright(image, path)
    plain.info = {}  # Pillow would write ICC profiles and the like back into the PNG
    out = io.BytesIO()
    plain.save(out, "PNG", compress_level=1)  # a photograph at level 6 takes seconds and gains a tenth
    return Normalised(out.getvalue(), plain.width, plain.height)


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings of Pillow's: our own limit and sentences stand in for them. Locked, for filters are process-wide."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _contents(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _too_large(path)
        return path.read_bytes()
    except FileNotFoundError:
        raise BadInputError(f"There is no picture {path}: check the name.") from None
    except IsADirectoryError:
        raise BadInputError(f"{path} is a folder: choose a picture in it.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise BadInputError(f"The picture {str(path)!r} cannot be read ({reason}): check the file.") from error


def _opened(source: bytes, path: Path) -> Image.Image:
    """The picture with its header read and its pixels not yet."""
    try:
        return Image.open(io.BytesIO(source), formats=FORMATS)
    except Image.DecompressionBombError:
        raise _too_large(path) from None
    except Exception as error:  # decoders raise all kinds of errors at broken files
        raise BadInputError(
            f"{path.name} is not a picture Limner can read: use a whole PNG, JPEG, WebP, BMP, GIF or TIFF file."
        ) from error


def _too_large(path: Path) -> BadInputError:
    return BadInputError(f"{path.name} has more than {MAX_PIXELS // 10**6} million pixels: make it smaller first.")


def _upright(image: Image.Image, path: Path) -> Image.Image:
    try:
        image.load()
        return _plain(ImageOps.exif_transpose(image))
    except Exception as error:  # as above: truncated data, wrong checksums, impossible tables
        raise BadInputError(f"{path.name} is damaged and cannot be decoded: use another copy of it.") from error


def _plain(image: Image.Image) -> Image.Image:
    """RGB, or RGBA if the picture has any transparency."""
    if image.mode in ("RGB", "RGBA"):
        transparent = image.mode == "RGBA" or "transparency" in image.info
        return image.convert("RGBA" if transparent else "RGB")
    if image.mode.startswith("I"):  # 16 bits of grey: Pillow would clip them instead of scaling
        return image.convert("I").point(lambda v: v * (1 / 257)).convert("L").convert("RGB")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")
