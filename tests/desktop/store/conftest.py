"""A real library on disk, and what it takes to run a turn against it without any model."""

import io
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from PIL import Image

from desktop.store.records import PictureRecord, TurnRecord
from desktop.store.store import Store
from models.contracts import (
    AdapterStep,
    DrawSegment,
    GenerationSpec,
    ImageRef,
    MllmPass,
    ModelRef,
    Painted,
    PromptTokens,
    Reply,
    TextSegment,
    Timings,
    TurnDone,
    TurnRequest,
)

STEPS = (AdapterStep("as written", "a red fox", "a red fox in the snow", "the director wrote it"),)
TOKENS = PromptTokens(("a", "red", "fox"), ("in", "the", "snow"), 3)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "library") as store:
        yield store


@pytest.fixture
def make_spec() -> Callable[..., GenerationSpec]:
    def make(prompt: str = "a red fox in the snow", **changes: object) -> GenerationSpec:
        values = {
            "prompt": prompt, "seed": 42, "width": 24, "height": 16, "steps": 4, "guidance_scale": 7.5,
            "scheduler": "euler_a", "negative_prompt": "blurry", "model": ModelRef("tiny sd", "ab" * 32),
            "backend": "torch", "device": "cpu", "dtype": "fp32",
        }  # fmt: skip
        return GenerationSpec(**(values | changes))  # type: ignore[arg-type]

    return make


@pytest.fixture
def paint(tmp_path: Path, make_spec: Callable[..., GenerationSpec]) -> Callable[..., Painted]:
    """A painted picture, in a folder outside the library. Its pixels depend on the spec alone."""
    numbers = count()

    def make(prompt: str = "a red fox in the snow", **changes: object) -> Painted:
        spec = make_spec(prompt, **changes)
        colour = (spec.seed % 256, len(spec.prompt) % 256, sum(spec.prompt.encode("utf-8", "replace")) % 256)
        path = tmp_path / "painted" / f"{next(numbers)}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (spec.width, spec.height), colour).save(path)
        return Painted(str(path), spec.width, spec.height, spec, 0.25)

    return make


@pytest.fixture
def make_done() -> Callable[..., TurnDone]:
    def make(say: str = "Here is your fox.", prompt: str | None = "a red fox", finish: str = "done") -> TurnDone:
        raw = say if prompt is None else f"{say}<draw>{prompt}</draw>"
        draws = () if prompt is None else (DrawSegment(prompt),)
        passes = (MllmPass("answer", raw, 0.97, 120, 80, 14, 0.2, 0.9, "stop", (0, 1)),)
        return TurnDone(
            Reply(raw, (TextSegment(say), *draws)), 0.97, passes, Timings(0.2, 0.9, 1.5, 2.4), "dialoggen",
            ModelRef("tiny vl", "cd" * 32), ModelRef("tiny sd", "ab" * 32), finish,
        )  # fmt: skip

    return make


@pytest.fixture
def add(store: Store, paint: Callable[..., Painted]) -> Callable[..., PictureRecord]:
    """Take a picture into the library, as the engine does."""

    def add(turn_id: str, prompt: str = "a red fox in the snow", slot: int = 0, **changes: object) -> PictureRecord:
        return store.add_picture(turn_id, slot, paint(prompt, **changes), STEPS, TOKENS)

    return add


@pytest.fixture
def take_turn(
    store: Store, add: Callable[..., PictureRecord], make_done: Callable[..., TurnDone]
) -> Callable[..., TurnRecord]:
    """A whole turn: begun, a picture added if there is a prompt, finished."""
    numbers = count()

    def take(
        session_id: str,
        parent_id: str | None = None,
        text: str = "Draw a red fox",
        prompt: str | None = "a red fox",
        images: tuple[ImageRef, ...] = (),
        **changes: object,
    ) -> TurnRecord:
        turn_id = f"turn-{next(numbers)}"
        store.begin_turn(session_id, parent_id, TurnRequest(turn_id, text, images, seed=42))
        if prompt is not None:
            add(turn_id, prompt, **changes)
        return store.finish_turn(turn_id, make_done(prompt=prompt))

    return take


@pytest.fixture
def png() -> Callable[..., bytes]:
    """The bytes of a small PNG file."""

    def make(mode: str = "RGB", size: tuple[int, int] = (6, 4), colour: object = 100, **options: object) -> bytes:
        out = io.BytesIO()
        Image.new(mode, size, colour).save(out, "PNG", **options)  # type: ignore[arg-type]
        return out.getvalue()

    return make
