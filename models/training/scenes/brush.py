"""A small brush over a Pillow picture: unit coordinates, so that one drawing serves every size.

Knows shapes and colours; what they mean is up to backgrounds.py.
"""

import random

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]


class Brush:
    """Draws in [0, 1]² (y downwards) on a picture twice the wanted side; `picture()` gives it at its true size.

    flat: gradients become a few bands, as a flat illustration has them.
    """

    def __init__(self, side: int, flat: bool, rng: random.Random) -> None:
        self.side = side
        self.flat = flat
        self.rng = rng
        self._wide = side * 2
        self._image = Image.new("RGB", (self._wide, self._wide))
        self._draw = ImageDraw.Draw(self._image)

    def picture(self) -> Image.Image:
        return self._image.resize((self.side, self.side), Image.Resampling.BOX)

    def gradient(self, top: Colour, bottom: Colour, start: float = 0.0, end: float = 1.0) -> None:
        """A vertical gradient between the heights start and end."""
        first, last = round(start * self._wide), round(end * self._wide)
        t = np.linspace(0, 1, max(1, last - first))[:, None, None]
        if self.flat:
            t = np.floor(t * 2.999) / 2
        rows = np.array(top) * (1 - t) + np.array(bottom) * t
        block = np.broadcast_to(rows, (rows.shape[0], self._wide, 3)).astype(np.uint8)
        self._image.paste(Image.fromarray(np.ascontiguousarray(block)), (0, first))

    def rect(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        w = self._wide
        self._draw.rectangle([x0 * w, y0 * w, max(x0, x1) * w, max(y0, y1) * w], fill=colour)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        w = self._wide
        self._draw.ellipse([(x - rx) * w, (y - ry) * w, (x + rx) * w, (y + ry) * w], fill=colour)

    def poly(self, points: list[Point], colour: Colour) -> None:
        self._draw.polygon([(x * self._wide, y * self._wide) for x, y in points], fill=colour)

    def line(self, points: list[Point], colour: Colour, width: float = 0.01) -> None:
        scaled = [(x * self._wide, y * self._wide) for x, y in points]
        self._draw.line(scaled, fill=colour, width=max(1, round(width * self._wide)), joint="curve")

    def near(self, value: float, spread: float = 0.03) -> float:
        """The value, moved a little by this scene's accident."""
        return value + self.rng.uniform(-spread, spread)

    def cloud(self, x: float, y: float, size: float, colour: Colour = (250, 252, 255)) -> None:
        for dx, dy, r in ((-0.8, 0.1, 0.45), (0, -0.15, 0.65), (0.8, 0.1, 0.5)):
            self.ellipse(x + dx * size, y + dy * size, r * size, r * size * 0.8, colour)
        self.rect(x - size, y + 0.15 * size, x + size, y + 0.5 * size, colour)

    def mountain(self, x: float, peak: float, foot: float, half: float, rock: Colour, snow: Colour | None) -> None:
        self.poly([(x - half, foot), (x, peak), (x + half, foot)], rock)
        if snow is not None:
            share = 0.38
            y = peak + (foot - peak) * share
            self.poly(
                [
                    (x - half * share, y),
                    (x, peak),
                    (x + half * share, y),
                    (x + half * 0.12, y - 0.03),
                    (x, y + 0.03),
                    (x - half * 0.12, y - 0.03),
                ],
                snow,
            )

    def pine(self, x: float, foot: float, height: float, colour: Colour) -> None:
        self.rect(x - 0.012, foot - height * 0.2, x + 0.012, foot, (96, 66, 40))
        for k in range(3):
            y = foot - height * (0.15 + 0.27 * k)
            half = height * (0.3 - 0.07 * k)
            self.poly([(x - half, y), (x, y - height * 0.42), (x + half, y)], colour)

    def tree(self, x: float, foot: float, height: float, crown: Colour, trunk: Colour = (110, 76, 48)) -> None:
        self.rect(x - 0.02, foot - height * 0.55, x + 0.02, foot, trunk)
        r = height * 0.27
        for dx, dy in ((-0.6, 0.0), (0.6, 0.0), (0.0, -0.7)):
            self.ellipse(x + dx * r, foot - height * 0.65 + dy * r, r, r, crown)
