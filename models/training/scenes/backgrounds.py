"""The 25 backgrounds, one short drawing each, told apart at a glance even at 64 pixels.

Knows how a place looks; not what stands in it. A drawing never fills the middle with detail: that is the subject's.
"""

import random
from collections.abc import Callable

from PIL import Image

from models.training.scenes.brush import Brush, Colour

WHITE: Colour = (255, 255, 255)
SKY: tuple[Colour, Colour] = ((96, 172, 240), (200, 230, 250))
NIGHT: tuple[Colour, Colour] = ((12, 16, 52), (52, 44, 108))
GRASS: Colour = (112, 190, 84)


def _plain(colour: Colour) -> Callable[[Brush], None]:
    def draw(b: Brush) -> None:
        b.rect(0, 0, 1, 1, colour)

    return draw


def _blue_sky(b: Brush) -> None:
    b.gradient((82, 164, 240), (168, 214, 250))
    for x, y, size in ((0.16, 0.2, 0.14), (0.8, 0.14, 0.13), (0.1, 0.72, 0.13), (0.9, 0.62, 0.14)):
        b.cloud(b.near(x), b.near(y), size)


def _meadow(b: Brush) -> None:
    b.gradient(*SKY)
    b.ellipse(0.75, 1.02, 0.8, 0.42, (140, 206, 100))
    b.ellipse(0.2, 1.15, 0.9, 0.5, GRASS)
    for _ in range(12):
        b.ellipse(b.rng.random(), b.rng.uniform(0.8, 0.98), 0.013, 0.013, b.rng.choice([(255, 244, 120), WHITE]))


def _forest(b: Brush) -> None:
    b.gradient((150, 200, 170), (196, 226, 190))
    for x in (0.02, 0.2, 0.38, 0.56, 0.74, 0.92):
        b.pine(b.near(x, 0.02), 0.78, 0.62, (52, 118, 76))
    for x in (0.06, 0.94):
        b.pine(x, 0.9, 0.85, (30, 88, 56))
    b.rect(0, 0.78, 1, 1, (74, 128, 62))


def _autumn_forest(b: Brush) -> None:
    b.gradient((250, 222, 170), (252, 236, 200))
    colours = [(226, 110, 36), (238, 160, 40), (200, 70, 40)]
    for i, x in enumerate((0.02, 0.22, 0.42, 0.62, 0.82, 1.0)):
        b.tree(b.near(x, 0.02), 0.8, 0.66, colours[i % 3])
    b.rect(0, 0.78, 1, 1, (186, 122, 58))
    for _ in range(24):
        b.ellipse(b.rng.random(), b.rng.uniform(0.8, 0.99), 0.016, 0.01, b.rng.choice(colours))


def _snowy_mountain(b: Brush) -> None:
    b.gradient((120, 162, 212), (222, 236, 250))
    for x, peak in ((0.1, 0.3), (0.9, 0.26), (0.5, 0.14)):
        b.mountain(b.near(x, 0.02), peak, 0.82, 0.42, (122, 134, 164), (250, 251, 255))
    b.rect(0, 0.8, 1, 1, (240, 245, 252))


def _stars(b: Brush, count: int, lowest: float) -> None:
    for _ in range(count):
        r = b.rng.choice([0.005, 0.008])
        b.ellipse(b.rng.random(), b.rng.random() * lowest, r, r, (255, 252, 214))


def _starry_night(b: Brush) -> None:
    b.gradient(*NIGHT)
    _stars(b, 60, 1.0)
    b.ellipse(0.84, 0.15, 0.09, 0.09, (250, 238, 180))
    b.ellipse(0.8, 0.13, 0.075, 0.075, (20, 22, 62))


def _sunset(b: Brush) -> None:
    b.gradient((88, 56, 130), (246, 120, 70), 0, 0.5)
    b.gradient((246, 120, 70), (254, 206, 110), 0.5, 0.78)
    b.ellipse(b.near(0.5, 0.02), 0.6, 0.2, 0.2, (255, 236, 150))
    b.rect(0, 0.78, 1, 1, (84, 44, 84))


def _beach(b: Brush) -> None:
    b.gradient((110, 196, 248), (204, 236, 250), 0, 0.5)
    b.rect(0, 0.48, 1, 0.72, (38, 140, 204))
    b.rect(0, 0.68, 1, 0.72, (190, 230, 240))
    b.rect(0, 0.72, 1, 1, (242, 216, 152))
    b.ellipse(0.14, 0.14, 0.08, 0.08, (255, 226, 90))
    b.line([(0.93, 0.8), (0.9, 0.34)], (140, 98, 58), 0.03)
    for dx, dy in ((-0.2, 0.04), (-0.14, -0.1), (0.02, -0.14), (0.14, -0.02)):
        b.line([(0.9, 0.34), (0.9 + dx, 0.34 + dy)], (52, 142, 70), 0.035)


def _under_the_sea(b: Brush) -> None:
    b.gradient((60, 190, 214), (10, 70, 140))
    b.rect(0, 0.9, 1, 1, (206, 190, 140))
    for x, colour in ((0.08, (46, 140, 90)), (0.16, (60, 160, 100)), (0.9, (236, 110, 120)), (0.97, (240, 140, 110))):
        points = [(x + (0.02 if k % 2 else -0.02), 0.92 - 0.07 * k) for k in range(6)]
        b.line(points, colour, 0.03)
    for _ in range(14):
        r = b.rng.uniform(0.008, 0.02)
        b.ellipse(
            b.rng.choice([b.rng.uniform(0, 0.2), b.rng.uniform(0.8, 1)]), b.rng.random() * 0.7, r, r, (190, 236, 244)
        )


def _outer_space(b: Brush) -> None:
    b.rect(0, 0, 1, 1, (10, 8, 22))
    _stars(b, 50, 1.0)
    b.ellipse(0.14, 0.2, 0.12, 0.12, (206, 130, 80))
    b.ellipse(0.14, 0.2, 0.22, 0.035, (236, 200, 150))
    b.ellipse(0.94, 0.9, 0.22, 0.22, (70, 120, 200))
    b.ellipse(0.9, 0.84, 0.08, 0.05, (90, 170, 110))


def _desert(b: Brush) -> None:
    b.gradient((246, 200, 120), (252, 232, 180))
    b.ellipse(0.16, 0.16, 0.09, 0.09, (255, 246, 200))
    b.ellipse(0.8, 1.0, 0.8, 0.36, (226, 168, 92))
    b.ellipse(0.1, 1.1, 0.9, 0.4, (212, 146, 72))
    b.rect(0.88, 0.42, 0.93, 0.78, (70, 130, 70))
    b.rect(0.8, 0.52, 0.84, 0.62, (70, 130, 70))
    b.rect(0.8, 0.59, 0.9, 0.63, (70, 130, 70))


def _towers(b: Brush, colours: list[Colour], windows: list[Colour], foot: float) -> None:
    for i in range(8):
        x = i * 0.125
        top = (0.3, 0.14, 0.4, 0.22, 0.36, 0.18, 0.42, 0.26)[i]
        b.rect(x, top, x + 0.115, foot, colours[i % len(colours)])
        for row in range(7):
            for column in range(2):
                y = top + 0.04 + row * 0.075
                if y < foot - 0.04:
                    left = x + 0.02 + column * 0.05
                    b.rect(left, y, left + 0.025, y + 0.035, b.rng.choice(windows))


def _city(b: Brush) -> None:
    b.gradient((150, 200, 240), (226, 238, 248))
    _towers(b, [(120, 136, 160), (146, 158, 178), (100, 118, 146)], [(214, 230, 244), (180, 200, 222)], 0.82)
    b.rect(0, 0.82, 1, 1, (150, 150, 156))


def _neon_city(b: Brush) -> None:
    b.gradient((18, 8, 44), (70, 18, 90))
    neon: list[Colour] = [(255, 60, 180), (60, 230, 255), (255, 220, 70), (30, 20, 60)]
    _towers(b, [(32, 20, 66), (44, 24, 84)], neon, 0.84)
    b.rect(0, 0.84, 1, 1, (40, 16, 66))
    b.rect(0, 0.84, 1, 0.86, (255, 60, 180))
    b.rect(0, 0.92, 1, 0.935, (60, 230, 255))


def _rainy_street(b: Brush) -> None:
    b.gradient((104, 116, 132), (150, 160, 172))
    for x, top, colour in (
        (0.0, 0.2, (128, 100, 92)),
        (0.22, 0.32, (112, 112, 124)),
        (0.66, 0.28, (120, 104, 96)),
        (0.84, 0.16, (104, 110, 126)),
    ):
        b.rect(x, top, x + 0.2, 0.76, colour)
        b.rect(x + 0.05, top + 0.1, x + 0.15, top + 0.2, (240, 214, 140))
    b.rect(0, 0.76, 1, 1, (70, 78, 92))
    b.ellipse(0.2, 0.92, 0.14, 0.03, (120, 136, 156))
    b.ellipse(0.82, 0.88, 0.12, 0.025, (120, 136, 156))
    for i in range(40):
        x, y = (i % 8) * 0.125 + b.rng.uniform(0, 0.1), (i // 8) * 0.2 + b.rng.uniform(0, 0.1)
        b.line([(x, y), (x - 0.02, y + 0.08)], (206, 220, 234), 0.007)


def _river(b: Brush) -> None:
    b.gradient(*SKY, 0, 0.45)
    b.rect(0, 0.42, 1, 1, (120, 186, 92))
    b.poly([(0.44, 0.42), (0.56, 0.42), (0.95, 1), (0.05, 1)], (62, 148, 214))
    for y, half in ((0.58, 0.08), (0.72, 0.14), (0.9, 0.2)):
        b.line([(0.5 - half, y), (0.5 + half * 0.4, y)], (170, 214, 244), 0.014)
    for x in (0.08, 0.92):
        b.tree(x, 0.62, 0.4, (60, 140, 70))


def _mountain_lake(b: Brush) -> None:
    b.gradient(*SKY)
    for x, peak in ((0.15, 0.26), (0.85, 0.2), (0.5, 0.32)):
        b.mountain(b.near(x, 0.02), peak, 0.58, 0.4, (86, 124, 116), None)
    b.gradient((60, 150, 190), (30, 100, 160), 0.58, 1.0)
    for x in (0.05, 0.15, 0.86, 0.96):
        b.pine(x, 0.62, 0.26, (34, 92, 66))
    for y in (0.7, 0.82, 0.93):
        b.line([(0.06, y), (0.3, y)], (130, 200, 226), 0.012)
        b.line([(0.68, y + 0.04), (0.94, y + 0.04)], (130, 200, 226), 0.012)


def _cherry_garden(b: Brush) -> None:
    b.gradient((190, 222, 246), (250, 236, 242))
    b.rect(0, 0.78, 1, 1, (150, 200, 120))
    for x in (0.06, 0.5, 0.94):
        b.tree(x, 0.82, 0.74, (250, 176, 204), (104, 70, 60))
    for _ in range(36):
        b.ellipse(b.rng.random(), b.rng.random(), 0.012, 0.009, (252, 200, 220))


def _living_room(b: Brush) -> None:
    b.rect(0, 0, 1, 0.76, (240, 222, 196))
    b.rect(0, 0.76, 1, 1, (178, 126, 84))
    b.rect(0.06, 0.1, 0.3, 0.4, (250, 250, 246))
    b.rect(0.08, 0.12, 0.28, 0.38, (150, 206, 240))
    b.line([(0.18, 0.12), (0.18, 0.38)], (250, 250, 246), 0.014)
    b.rect(0.02, 0.52, 0.98, 0.8, (196, 84, 76))
    b.rect(0.0, 0.6, 0.12, 0.84, (170, 66, 60))
    b.rect(0.88, 0.6, 1.0, 0.84, (170, 66, 60))
    b.line([(0.84, 0.5), (0.84, 0.28)], (90, 80, 76), 0.014)
    b.poly([(0.74, 0.3), (0.79, 0.14), (0.89, 0.14), (0.94, 0.3)], (250, 220, 130))


def _kitchen(b: Brush) -> None:
    b.rect(0, 0, 1, 1, (226, 240, 236))
    for k in range(1, 9):
        b.line([(k / 9, 0.3), (k / 9, 0.66)], (190, 214, 210), 0.008)
    for y in (0.3, 0.42, 0.54):
        b.line([(0, y), (1, y)], (190, 214, 210), 0.008)
    b.rect(0, 0.0, 1, 0.24, (92, 150, 150))
    for x in (0.04, 0.28, 0.52, 0.76):
        b.rect(x, 0.03, x + 0.2, 0.21, (120, 178, 174))
    b.rect(0, 0.66, 1, 0.73, (110, 84, 66))
    b.rect(0, 0.73, 1, 1, (240, 236, 226))
    b.rect(0.04, 0.78, 0.3, 1, (90, 94, 102))
    b.rect(0.08, 0.84, 0.26, 0.95, (48, 50, 58))
    b.rect(0.08, 0.54, 0.26, 0.66, (206, 70, 64))


def _castle(b: Brush) -> None:
    b.gradient((136, 178, 226), (228, 226, 238))
    stone, dark = (170, 166, 172), (136, 132, 142)
    b.rect(0.1, 0.42, 0.9, 0.84, stone)
    for k in range(9):
        b.rect(0.1 + k * 0.09, 0.37, 0.145 + k * 0.09, 0.43, stone)
    for x in (0.0, 0.8):
        b.rect(x, 0.26, x + 0.2, 0.84, dark)
        b.poly([(x - 0.02, 0.27), (x + 0.1, 0.04), (x + 0.22, 0.27)], (196, 70, 76))
        b.rect(x + 0.075, 0.36, x + 0.125, 0.46, (66, 60, 76))
    b.rect(0, 0.82, 1, 1, (120, 176, 96))


def _farm(b: Brush) -> None:
    b.gradient(*SKY, 0, 0.5)
    b.rect(0, 0.5, 1, 1, (232, 196, 84))
    for k in range(-4, 14):
        b.line([(0.5 + (k - 4.5) * 0.03, 0.5), (0.5 + (k - 4.5) * 0.22, 1.0)], (196, 152, 56), 0.014)
    b.rect(0.72, 0.32, 0.94, 0.52, (186, 58, 50))
    b.poly([(0.69, 0.33), (0.83, 0.18), (0.97, 0.33)], (112, 60, 54))
    b.rect(0.8, 0.41, 0.87, 0.52, (250, 240, 230))
    b.line([(0, 0.5), (0.7, 0.5)], (110, 160, 80), 0.02)


def _polar_ice(b: Brush) -> None:
    b.gradient((150, 206, 226), (226, 244, 250), 0, 0.5)
    b.line([(0, 0.1), (0.3, 0.16), (0.65, 0.08), (1, 0.16)], (150, 236, 200), 0.05)
    b.rect(0, 0.48, 1, 0.7, (50, 124, 168))
    b.poly([(0.0, 0.56), (0.06, 0.3), (0.2, 0.38), (0.28, 0.56)], (226, 246, 252))
    b.poly([(0.7, 0.56), (0.8, 0.26), (0.92, 0.34), (1.0, 0.56)], (206, 236, 248))
    b.rect(0, 0.68, 1, 1, (240, 250, 254))
    b.line([(0, 0.86), (0.22, 0.8), (0.3, 0.92)], (170, 210, 230), 0.012)
    b.line([(0.74, 0.94), (0.8, 0.82), (1.0, 0.88)], (170, 210, 230), 0.012)


DRAWINGS: dict[str, Callable[[Brush], None]] = {
    "plain white": _plain(WHITE),
    "plain pink": _plain((250, 190, 208)),
    "plain yellow": _plain((252, 222, 96)),
    "a blue sky with clouds": _blue_sky,
    "a green meadow": _meadow,
    "a forest": _forest,
    "an autumn forest": _autumn_forest,
    "a snowy mountain": _snowy_mountain,
    "a starry night": _starry_night,
    "a sunset": _sunset,
    "a sandy beach": _beach,
    "under the sea": _under_the_sea,
    "outer space": _outer_space,
    "a desert": _desert,
    "a city skyline": _city,
    "a night city with neon lights": _neon_city,
    "a rainy street": _rainy_street,
    "a river": _river,
    "a mountain lake": _mountain_lake,
    "a cherry blossom garden": _cherry_garden,
    "a living room": _living_room,
    "a kitchen": _kitchen,
    "a castle": _castle,
    "a farm field": _farm,
    "the polar ice": _polar_ice,
}


def draw_background(name: str, side: int, seed: int = 0, flat: bool = False) -> Image.Image:
    """One background as RGB, side×side; the same arguments give the same picture."""
    brush = Brush(side, flat, random.Random(f"{name}/{seed}"))
    DRAWINGS[name](brush)
    return brush.picture()
