"""Contact sheets: pictures in rows, saved as one PNG to be looked at. Knows pixels only."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def save_grid(pictures: Sequence[np.ndarray], columns: int, path: Path, colours: int = 0) -> None:
    """Byte pictures of one size (H × W × 3), row by row; colours: a palette of so many, for a small file."""
    side = pictures[0].shape[0]
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * side, rows * side), (255, 255, 255))
    for i, picture in enumerate(pictures):
        sheet.paste(Image.fromarray(picture), (i % columns * side, i // columns * side))
    path.parent.mkdir(parents=True, exist_ok=True)
    (sheet.quantize(colours) if colours else sheet).save(path, optimize=True)
