"""Prompts measured in the encoders' own tokens: kept and dropped pieces rebuild the prompt."""

from collections.abc import Callable

import pytest

from models.contracts import PromptTokens
from models.t2i.base import T2I
from models.t2i.open import open_t2i
from models.t2i.prompt_tokens import READ_CHARACTERS, measure
from tests.models.t2i import tiny
from tests.models.t2i.conftest import Checkpoint


@pytest.fixture(scope="module")
def clip() -> Callable[[str], PromptTokens]:
    tokenizer = tiny.clip_tokenizer()
    return lambda prompt: measure(prompt, [(tokenizer, 77)])


def test_a_short_prompt_is_kept_as_it_was_written(clip: Callable[[str], PromptTokens]) -> None:
    tokens = clip("A red Fox,  in the SNOW")
    assert tokens == PromptTokens(("A", " red", " Fox", ",", " in", " the", " SNOW"), (), 77)


def test_75_tokens_are_kept_and_the_rest_is_dropped(clip: Callable[[str], PromptTokens]) -> None:
    tokens = clip(" ".join(["fox"] * 80))
    assert (len(tokens.kept), len(tokens.dropped)) == (75, 5)


@pytest.mark.parametrize(
    "prompt",
    [
        "A red fox, the background is snow, the style is watercolor", "狐狸在雪地里，背景是夜晚", "ثعلب أحمر في الثلج",
        "a 🦊 and a 👩‍🚀!",
        "naïve café, Ünïcode; l'été", "fox\t\nin   the snow", "supercalifragilisticexpialidocious " * 30, "狐" * 200,
        "",
    ],
)  # fmt: skip
def test_the_pieces_rebuild_the_prompt(clip: Callable[[str], PromptTokens], prompt: str) -> None:
    tokens = clip(prompt)
    assert "".join(tokens.kept + tokens.dropped) == " ".join(prompt.split())
    assert "\ufffd" not in "".join(tokens.kept + tokens.dropped)


@pytest.mark.parametrize("prompt", ["x" * 1_000_000, "a fox in the snow " * 60_000, "狐" * 400_000, " " * 1_000_000])
def test_a_megabyte_is_measured_by_its_beginning(clip: Callable[[str], PromptTokens], prompt: str) -> None:
    tokens = clip(prompt)
    words = " ".join(prompt.split())
    assert words.startswith("".join(tokens.kept))
    if words:
        assert tokens.dropped[-1] == f" … and {len(words) - READ_CHARACTERS:,} more characters, not read"


def test_the_tightest_encoder_decides(checkpoints: dict[str, Checkpoint]) -> None:
    painter: T2I = open_t2i(tiny.describe(checkpoints["sdxl"].folder))
    assert painter.measure("fox " * 100).limit == 77
    loose, tight = tiny.clip_tokenizer(), tiny.clip_tokenizer()
    assert len(measure("fox " * 100, [(loose, 77), (tight, 20)]).kept) == 18
