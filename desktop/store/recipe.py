"""What made a picture, inside the picture: a versioned JSON of our own, and A1111's `parameters` for other tools.

Written so that the same spec and steps give the same bytes: no dates, no ids of sessions or turns, no paths, no version
of the application. Knows nothing of the store. Further formats are further lines in READERS.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from models.contracts import AdapterStep, GenerationSpec, ImageRef, ModelRef, from_json, to_json

from . import a1111, png

KEYWORD = "limner"
SCHEMA = 1
_NUMBERS = ("seed", "width", "height", "steps")


@dataclass(frozen=True)
class Recipe:
    """Enough to paint the picture again.

    `source` is the format it was read from ("limner" | "a1111"). A foreign tool may not have written everything: what
    it left out is 0 or empty in the spec. Pictures the spec stands on are named by content (`path` is `<sha256>.png`).
    """

    spec: GenerationSpec
    steps: tuple[AdapterStep, ...] = ()
    mllm: ModelRef | None = None
    source: str = KEYWORD


def embed(data: bytes, recipe: Recipe) -> bytes:
    """The PNG `data` with the recipe in it. Raises ValueError if `data` is not a whole PNG file."""
    spec = _portable(recipe.spec)
    own = {
        "schema": SCHEMA,
        "spec": to_json(spec),
        "steps": to_json(recipe.steps),
        "models": {"mllm": to_json(recipe.mllm), "t2i": to_json(spec.model)},
    }
    text = json.dumps(own, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return png.with_text(data, {KEYWORD: text, a1111.KEYWORD: a1111.write(spec)})


def read_recipe(path: Path) -> Recipe | None:
    """The recipe inside a picture, ours before others'; None if there is none. Raises OSError if it cannot be read."""
    texts = png.read_texts(path)
    for keyword, reader in READERS:
        recipe = reader(texts[keyword]) if keyword in texts else None
        if recipe is not None:
            return recipe
    return None


def stored_sha256(painted: Path, recipe: Recipe) -> str:
    """The hash a painted PNG gets in the store, so that a repainted picture can be compared without storing it."""
    return hashlib.sha256(embed(painted.read_bytes(), recipe)).hexdigest()


def pixels_sha256(path: Path) -> str:
    """Hash of size, mode and decoded pixels: equal for the same picture whatever texts are beside it."""
    with Image.open(path) as image:
        image.load()
        head = f"{image.mode} {image.width}x{image.height}\n".encode()
        return hashlib.sha256(head + image.tobytes()).hexdigest()


def _portable(spec: GenerationSpec) -> GenerationSpec:
    """The spec without anything of this machine or session. A round trip through JSON makes 6 and 6.0 the same."""
    spec = from_json(GenerationSpec, to_json(spec))
    return replace(spec, init_image=_named(spec.init_image), mask_image=_named(spec.mask_image))


def _named(ref: ImageRef | None) -> ImageRef | None:
    return ref and replace(ref, path=f"{ref.sha256}.png", number=None)


def _read_own(text: str) -> Recipe | None:
    """Unknown keys are ignored, so a newer recipe is read as far as it is understood; a broken one is None."""
    try:
        data = json.loads(text)
        spec = from_json(GenerationSpec, data["spec"])
        steps = tuple(from_json(AdapterStep, step) for step in data.get("steps", ()))
        mllm = from_json(ModelRef | None, data.get("models", {}).get("mllm"))  # type: ignore[arg-type]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return Recipe(spec, steps, mllm) if _sound(spec) else None


def _sound(spec: GenerationSpec) -> bool:
    texts: list[Any] = [spec.prompt, spec.negative_prompt, spec.scheduler]
    numbers: list[Any] = [getattr(spec, name) for name in _NUMBERS]
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(number, int) for number in numbers)
        and isinstance(spec.guidance_scale, float)
        and isinstance(spec.strength, float)
    )


def _read_a1111(text: str) -> Recipe | None:
    spec = a1111.read(text)
    return None if spec is None else Recipe(spec, source="a1111")


READERS: tuple[tuple[str, Callable[[str], Recipe | None]], ...] = (
    (KEYWORD, _read_own),
    (a1111.KEYWORD, _read_a1111),
)
"""(keyword of the text chunk, reader), tried in this order."""
