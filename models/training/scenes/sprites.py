"""Subjects as cut-out pictures: open emoji art, rendered from SVG once and kept as PNG.

Knows where the art lies (four `@iconify-json` packages) and nothing about scenes.
"""

import io
import json
import os
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

#: Side in pixels at which every sprite is rendered and kept.
SPRITE_SIDE = 256
ART_SETS = ("fluent-emoji", "fluent-emoji-flat", "noto", "twemoji")


def art_folder() -> Path:
    """The folder that holds `node_modules/@iconify-json` and the rendered sprites (environment: LIMNER_ART)."""
    chosen = os.environ.get("LIMNER_ART")
    return Path(chosen) if chosen else Path(__file__).resolve().parents[3] / "build" / "art"


def slug(label: str) -> str:
    """An emoji label as the art sets spell it: "cat face" -> "cat-face"."""
    for mark in (":", "’", "'", "."):
        label = label.replace(mark, "")
    return label.lower().replace(" ", "-")


@cache
def _icons(art_set: str, folder: str) -> dict[str, Any]:
    path = Path(folder) / "node_modules" / "@iconify-json" / art_set / "icons.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; `npm install @iconify-json/{art_set}` in {folder} puts it there")
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def _draw(art_set: str, label: str, folder: str) -> Image.Image:
    import resvg_py  # only needed while sprites are made

    icons = _icons(art_set, folder)
    icon = icons["icons"][slug(label)]
    width = icon.get("width", icons.get("width", 16))
    height = icon.get("height", icons.get("height", 16))
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{SPRITE_SIDE}" height="{SPRITE_SIDE}">{icon["body"]}</svg>'
    )
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SPRITE_SIDE))
    return Image.open(io.BytesIO(png)).convert("RGBA")


@lru_cache(maxsize=4096)
def sprite(art_set: str, label: str) -> Image.Image:
    """RGBA, 256×256. Raises KeyError where the set has no such label, FileNotFoundError where the set is not there."""
    folder = art_folder()
    kept = folder / "sprites" / art_set / f"{slug(label)}.png"
    if kept.is_file():
        with Image.open(kept) as image:
            return image.convert("RGBA")
    drawn = _draw(art_set, label, str(folder))
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(f".{os.getpid()}.tmp")
    drawn.save(partial, format="PNG")
    partial.replace(kept)
    return drawn
