"""Styles: which art set draws the subject, how it is set on its background, and the filter over the whole.

Knows pictures only, no captions. The four families differ in the subject's finish (a soft shadow, a bold outline, a
die-cut border) as well as in their art, so that a style is seen at a glance.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from models.training.scenes.brush import Colour

#: Each style's own art set ("varied") and the one drawing all styles share ("same").
VARIED_ART = {"3D render": "fluent-emoji", "cartoon": "noto", "sticker": "twemoji", "oil painting": "fluent-emoji"}
SAME_ART = {"3D render": "fluent-emoji", "oil painting": "fluent-emoji"}
FLAT_STYLES = ("flat illustration", "sticker", "pixel art", "line drawing", "paper cut", "neon", "ukiyo-e")


def art_set(style: str, art: str) -> str:
    return (VARIED_ART if art == "varied" else SAME_ART).get(style, "fluent-emoji-flat")


def _grown(alpha: Image.Image, pixels: int) -> Image.Image:
    """The cut-out's mask, grown by a number of pixels with a round edge."""
    blurred = alpha.filter(ImageFilter.GaussianBlur(max(0.5, pixels * 0.75)))
    return ImageChops.lighter(alpha, blurred.point(lambda v: min(255, max(0, (v - 16) * 6))))


def _outlined(sprite: Image.Image, colour: Colour, pixels: int) -> Image.Image:
    mask = _grown(sprite.getchannel("A"), pixels)
    under = Image.new("RGBA", sprite.size, (*colour, 0))
    under.putalpha(mask)
    under.alpha_composite(sprite)
    return under


def finish_subject(sprite: Image.Image, style: str) -> Image.Image:
    """The cut-out (RGBA with an empty margin) as the style wants it: outline, border or as it is."""
    step = max(1, sprite.width // 40)
    if style == "cartoon":
        vivid = ImageEnhance.Color(sprite.convert("RGB")).enhance(1.3).convert("RGBA")
        vivid.putalpha(sprite.getchannel("A"))
        return _outlined(vivid, (28, 22, 34), step)
    if style == "sticker":
        return _outlined(_outlined(sprite, (255, 255, 255), step * 2), (188, 190, 198), max(1, step // 2))
    return sprite


def shadow_strength(style: str) -> float:
    """How dark the soft shadow under the subject is, 0 to 1."""
    return {"3D render": 0.5, "oil painting": 0.35, "paper cut": 0.45, "sticker": 0.25}.get(style, 0.0)


def _line_drawing(image: Image.Image) -> Image.Image:
    # Edges are found at a fixed scale: the lines keep their weight at every picture size.
    wide = image.convert("RGB").resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC)
    bands = [_edges(band) for band in wide.split()]
    edges = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
    inked = edges.point(lambda v: 255 - min(235, max(0, (v - 14) * 5)))
    return inked.resize(image.size, Image.Resampling.BOX).convert("RGB")


def _edges(band: Image.Image) -> Image.Image:
    bigger = band.filter(ImageFilter.MaxFilter(3))
    return ImageChops.subtract(bigger, band.filter(ImageFilter.MinFilter(3)))


def _watercolor(image: Image.Image) -> Image.Image:
    side = image.width
    soft = image.filter(ImageFilter.MedianFilter(5)).filter(ImageFilter.GaussianBlur(side / 160))
    pale = np.asarray(soft, np.float32) * 0.62 + 255 * 0.38
    rng = np.random.default_rng(5)
    paper = Image.fromarray(rng.integers(0, 255, (16, 16), np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    pale += (np.asarray(paper, np.float32)[..., None] - 127) * 0.12
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    # The wash fades into white paper towards the corners.
    edge = np.clip((np.maximum(abs(x), abs(y)) - 0.84) * 7, 0, 1)[..., None]
    return Image.fromarray(np.clip(pale * (1 - edge) + 252 * edge, 0, 255).astype(np.uint8))


def _pixel_art(image: Image.Image) -> Image.Image:
    small = image.resize((32, 32), Image.Resampling.BOX)
    few = small.quantize(24, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    return few.resize(image.size, Image.Resampling.NEAREST)


def _sketch(image: Image.Image) -> Image.Image:
    grey = image.convert("L")
    blurred = ImageOps.invert(grey).filter(ImageFilter.GaussianBlur(image.width / 40))
    g, s = np.asarray(grey, np.float32), np.asarray(blurred, np.float32)
    dodge = np.clip(g * 255 / np.maximum(1, 255 - s), 0, 255)
    shade = dodge * dodge / 255 * 0.65 + g * 0.32 + 8
    return Image.fromarray(np.clip(shade, 0, 255).astype(np.uint8)).convert("RGB")


def _oil(image: Image.Image) -> Image.Image:
    size = max(3, image.width // 40 | 1)
    thick = ImageEnhance.Color(image.filter(ImageFilter.ModeFilter(size))).enhance(1.35)
    return ImageEnhance.Contrast(thick).enhance(1.1)


def _paper_cut(image: Image.Image) -> Image.Image:
    few = ImageOps.posterize(image.filter(ImageFilter.MedianFilter(5)), 2)
    edges = _edges(few.convert("L")).point(lambda v: min(255, v * 3))
    few = ImageEnhance.Brightness(few).enhance(1.25)
    return Image.composite(Image.new("RGB", image.size, (255, 250, 240)), few, edges)


def _neon(image: Image.Image) -> Image.Image:
    edges = [_edges(band) for band in ImageEnhance.Color(image).enhance(2.0).split()]
    lines = np.stack([np.asarray(e, np.float32) for e in edges], -1)
    strength = lines.max(-1, keepdims=True)
    hue = np.asarray(ImageEnhance.Color(image).enhance(3.0), np.float32) * 0.5 + np.array([150, 20, 160]) * 0.6
    lit = np.clip(hue * np.clip(strength / 60, 0, 1.2), 0, 255)
    glow = Image.fromarray(lit.astype(np.uint8)).filter(ImageFilter.GaussianBlur(image.width / 80))
    return Image.fromarray(np.clip(lit + np.asarray(glow, np.float32) + [10, 6, 24], 0, 255).astype(np.uint8))


#: Indigo, sea green, paper, vermilion, ochre, pine, ink, grey.
_PRINT_INKS: tuple[Colour, ...] = (
    (34, 58, 98),
    (86, 128, 150),
    (240, 226, 190),
    (196, 70, 50),
    (226, 178, 110),
    (92, 118, 84),
    (40, 36, 40),
    (206, 204, 190),
)


def _ukiyo_e(image: Image.Image) -> Image.Image:
    tones = [value for colour in _PRINT_INKS for value in colour]
    palette = Image.new("P", (1, 1))
    palette.putpalette(tones + tones[-3:] * 248)
    few = image.filter(ImageFilter.MedianFilter(3)).quantize(palette=palette, dither=Image.Dither.NONE).convert("RGB")
    ink = _edges(image.convert("L")).point(lambda v: min(255, max(0, v - 24) * 4))
    return Image.composite(Image.new("RGB", image.size, (36, 32, 40)), few, ink)


FILTERS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "line drawing": _line_drawing,
    "watercolor": _watercolor,
    "pixel art": _pixel_art,
    "black and white sketch": _sketch,
    "oil painting": _oil,
    "paper cut": _paper_cut,
    "neon": _neon,
    "ukiyo-e": _ukiyo_e,
}


def finish_picture(image: Image.Image, style: str) -> Image.Image:
    """The style's filter over the composed picture (RGB); the four families have none."""
    apply = FILTERS.get(style)
    return apply(image) if apply else image
