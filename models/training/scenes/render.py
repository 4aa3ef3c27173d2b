"""One scene to one picture: background, then the subject's cut-out in its place, then the style's filter.

Knows composition; the parts come from backgrounds.py, sprites.py and styles.py.
"""

import random
from functools import lru_cache

from PIL import Image, ImageFilter

from models.training.scenes.backgrounds import draw_background
from models.training.scenes.sprites import sprite
from models.training.scenes.styles import FLAT_STYLES, art_set, finish_picture, finish_subject, shadow_strength
from models.training.scenes.vocabulary import Scene

#: Lens -> (side of the subject, its top edge), both as shares of the picture. In sixteenths, so that on a 128-pixel
#: picture a sprite always meets the latent grid in the same way and is learnt as one thing.
PLACES = {"close-up": (14 / 16, 1 / 16), "medium shot": (10 / 16, 5 / 16), "panoramic": (6 / 16, 9 / 16)}
#: Empty share around the cut-out, for outlines and borders.
MARGIN = 0.06


def render_scene(scene: Scene, size: int) -> Image.Image:
    """RGB, size×size (16 ≤ size). Deterministic. Raises KeyError for a subject that the art sets lack."""
    picture = _background(scene.background, size, scene.seed % 8, scene.style in FLAT_STYLES).copy()
    side, left, top = _place(scene, size)
    cut = _cut_out(scene.subject, scene.style, scene.art, side)
    if scene.flip:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    at = (left - round(side * MARGIN), top - round(side * MARGIN))
    _drop_shadow(picture, cut, at, shadow_strength(scene.style))
    picture.paste(cut, at, cut)
    return finish_picture(picture, scene.style)


@lru_cache(maxsize=512)
def _background(name: str, size: int, seed: int, flat: bool) -> Image.Image:
    return draw_background(name, size, seed, flat)


@lru_cache(maxsize=2048)
def _cut_out(subject: str, style: str, art: str, side: int) -> Image.Image:
    small = sprite(art_set(style, art), subject).resize((side, side), Image.Resampling.LANCZOS)
    margin = round(side * MARGIN)
    framed = Image.new("RGBA", (side + 2 * margin, side + 2 * margin))
    framed.paste(small, (margin, margin))
    return finish_subject(framed, style)


def _place(scene: Scene, size: int) -> tuple[int, int, int]:
    """The subject's side, left and top in pixels."""
    share, top = PLACES[scene.lens]
    side, y = round(share * size), round(top * size)
    x = (size - side) // 2
    if scene.jitter:
        rng = random.Random(f"{scene.seed}/{scene.subject}/{scene.lens}")
        reach = 0.06 * scene.jitter * size
        side = round(side * (1 + rng.uniform(-0.1, 0.1) * scene.jitter))
        x, y = x + round(rng.uniform(-reach, reach)), y + round(rng.uniform(-reach, reach))
    return side, x, y


def _drop_shadow(picture: Image.Image, cut: Image.Image, at: tuple[int, int], strength: float) -> None:
    if not strength:
        return
    step = max(1, picture.width // 42)
    canvas = Image.new("L", picture.size)
    canvas.paste(cut.getchannel("A"), (at[0] + step // 2, at[1] + step))
    soft = canvas.filter(ImageFilter.GaussianBlur(step * 0.8)).point(lambda v: int(v * strength))
    picture.paste(Image.new("RGB", picture.size, (20, 20, 40)), (0, 0), soft)
