"""Checks a GenerationSpec against what a painter can do, and opens the pictures it names. Every refusal is one
sentence.

Knows limits and picture files; nothing of pipelines.
"""

import contextlib
import math
import warnings
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from models.contracts import SEED_MAX, BadInputError, GenerationSpec, ImageRef, T2IInfo
from models.t2i.schedulers import entry

PIXELS_MAX = Image.MAX_IMAGE_PIXELS or 89_478_485
"""Pillow's own limit."""
GUIDANCE_MAX = 50.0


def check_spec(spec: GenerationSpec, info: T2IInfo) -> None:
    """Raise BadInputError for anything this painter cannot do; nothing is guessed or snapped."""
    if not spec.prompt.strip():
        raise BadInputError("There are no words to paint; write a prompt.")
    if not 0 <= spec.seed <= SEED_MAX:
        raise BadInputError(f"The seed {spec.seed} is out of range; choose one from 0 to {SEED_MAX}.")
    check_size(spec.width, spec.height, info)
    if not (math.isfinite(spec.guidance_scale) and 0 <= spec.guidance_scale <= GUIDANCE_MAX):
        raise BadInputError(
            f"The guidance scale {spec.guidance_scale} is out of range; choose one from 0 to {GUIDANCE_MAX:g}."
        )
    _check_steps(spec)
    _check_pictures(spec, info)


def check_size(width: int, height: int, info: T2IInfo) -> None:
    """Raise BadInputError for a width or height this painter cannot do."""
    low, high, multiple = info.size_min, info.size_max, info.size_multiple
    for name, value in (("width", width), ("height", height)):
        if not low <= value <= high or value % multiple:
            raise BadInputError(
                f"{info.model.name} cannot paint a {name} of {value} px; choose a multiple of {multiple} from "
                f"{low} to {high}."
            )


def _check_steps(spec: GenerationSpec) -> None:
    row = entry(spec.scheduler)
    if not row.steps_min <= spec.steps <= row.steps_max:
        raise BadInputError(
            f"The scheduler {spec.scheduler} cannot do {spec.steps} steps; choose from {row.steps_min} to "
            f"{row.steps_max}."
        )


def _check_pictures(spec: GenerationSpec, info: T2IInfo) -> None:
    if spec.mask_image and not spec.init_image:
        raise BadInputError("A mask needs a picture to be laid on; choose the picture too.")
    if spec.init_image is None:
        return
    if not (info.inpainting if spec.mask_image else info.image_to_image):
        raise BadInputError(
            f"{info.model.name} paints from words only; leave the picture out or choose another painter."
        )
    if not 0 < spec.strength <= 1:
        raise BadInputError(f"The strength {spec.strength} is out of range; choose one above 0 and up to 1.")
    if int(spec.steps * spec.strength) < 1:
        raise BadInputError(
            f"{spec.steps} steps at strength {spec.strength:g} make no whole step; raise one of the two."
        )


def open_picture(ref: ImageRef, width: int, height: int, *, mask: bool = False) -> Image.Image:
    """The picture as RGB (a mask as L, white = paint here), covering width × height: scaled, then cropped at the
    centre.

    Raises BadInputError for a file that is missing, broken or larger than PIXELS_MAX.
    """
    path = Path(ref.path)
    try:
        with warnings.catch_warnings(), _no_bomb(path.name), Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture).convert("L" if mask else "RGB")
    except FileNotFoundError:
        raise BadInputError(f"The picture {path.name} is gone; choose another.") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        raise BadInputError(f"{path.name} is not a picture Limner can open, or it is broken; choose another.") from None
    return ImageOps.fit(upright, (width, height), Image.Resampling.LANCZOS)


@contextlib.contextmanager
def _no_bomb(name: str) -> Iterator[None]:
    """Pillow refuses by the header, before decoding, what would fill the memory."""
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadInputError(
            f"{name} has more than {PIXELS_MAX // 1_000_000} million pixels; make it smaller."
        ) from None
