"""The adapter: every rewrite is a step, nothing the painter cannot do reaches it."""

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.adapter import MAX_PROMPT_CHARS, Adapted, adapt, language, tidy
from models.contracts import (
    SEED_MAX,
    BadInputError,
    DrawSegment,
    PaintOverrides,
    PastTurn,
    PromptTokens,
    T2IInfo,
    TurnRequest,
)
from models.t2i.fake import ScriptedT2I, scripted_info

FOX = "A red fox, the background is snow, the lens is close-up, the style is cartoon"
ZH = "一只狐狸，背景是雪地"


def _adapt(
    prompt: str,
    info: T2IInfo | None = None,
    *,
    text: str = "draw a fox",
    limit: int = 77,
    slot: int = 0,
    **request: object,
) -> Adapted:
    painter = ScriptedT2I(info or scripted_info(), limit=limit)
    asked = TurnRequest("t", text, **request)  # type: ignore[arg-type]
    return adapt(DrawSegment(prompt), asked, painter.info, painter.measure, slot=slot)


def _names(made: Adapted) -> list[str]:
    return [step.name for step in made.steps]


def test_a_plain_request_has_few_steps() -> None:
    made = _adapt(FOX, seed=7)
    assert _names(made) == ["as written", "settings", "consistency", "seed", "truncate"]
    spec = made.spec
    assert (spec.prompt, spec.seed, spec.width, spec.height, spec.steps) == (FOX, 7, 64, 64, 3)
    assert (spec.guidance_scale, spec.scheduler, spec.negative_prompt) == (4.0, "ddim", "")
    assert (spec.model, spec.backend, spec.device, spec.dtype) == (scripted_info().model, "torch", "cpu", "fp32")
    assert made.tokens.dropped == ()


@settings(max_examples=60, deadline=None, database=None)
@given(st.text(max_size=300), st.integers(0, SEED_MAX), st.integers(0, 3))
def test_the_steps_lead_from_the_directors_words_to_the_spec(prompt: str, seed: int, slot: int) -> None:
    made = _adapt(prompt, seed=seed, slot=slot)
    rewrites = [s for s in made.steps if s.name in ("as written", "tidy", "your words", "translate")]
    assert rewrites[0].after == prompt[:MAX_PROMPT_CHARS]
    assert all(a.after == b.before for a, b in pairwise(rewrites))
    assert rewrites[-1].after == made.spec.prompt
    assert made.spec.prompt == tidy(made.spec.prompt) != ""
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in made.spec.prompt)
    assert {s.name: s.after for s in made.steps}["seed"] == str(made.spec.seed)


@pytest.mark.parametrize(
    ("written", "clean"),
    [
        ("  a\tred \n fox ", "a red fox"),
        ("a\x00red\x1b[0m fox", "ared[0m fox"),
        ('"A red fox."', "A red fox"),
        ("“一只狐狸。”", "一只狐狸"),
        ("a fox, , .", "a fox"),
        ("a 'red' fox", "a 'red' fox"),
        ("'red' and 'blue'", "'red' and 'blue'"),
        ("👩‍🚀 on the moon", "👩‍🚀 on the moon"),
        ("שועל \u202eבשלג\u202c", "שועל בשלג"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("zero\u200bwidth", "zerowidth"),
        ("...", ""),
        ("", ""),
    ],
)
def test_tidy(written: str, clean: str) -> None:
    assert tidy(written) == clean


@pytest.mark.parametrize("prompt", ["", " \n", "\u200b", "..."])
def test_without_a_prompt_the_users_words_are_used_and_recorded(prompt: str) -> None:
    made = _adapt(prompt, text=" a fox\nin the snow. ")
    assert made.spec.prompt == "a fox in the snow"
    step = made.steps[1]
    assert (step.name, step.after) == ("your words", "a fox in the snow")
    assert "your own words" in step.why


def test_nothing_to_draw_at_all_is_one_sentence() -> None:
    with pytest.raises(BadInputError, match="There is nothing to draw yet"):
        _adapt("", text="…\u200b."[1:])


@pytest.mark.parametrize("prompt", ["fox " * 5_000_000, "x" * 20_000_000, "\x00" * 1_000_000 + "fox", "狐" * 1_000_000])
def test_megabytes_cost_nothing(prompt: str) -> None:
    """Only the beginning is ever looked at; one of nothing but control characters falls back to the user's words."""
    measured: list[int] = []

    def measure(text: str) -> PromptTokens:
        measured.append(len(text))
        return PromptTokens((text,), (), 77)

    request = TurnRequest("t", " " * 1_000_000 + "a fox")
    made = adapt(DrawSegment(prompt), request, scripted_info(languages=("en", "zh")), measure)
    assert measured == [len(made.spec.prompt)]
    assert len(made.spec.prompt) <= MAX_PROMPT_CHARS
    assert f"of {len(prompt):,} characters" in made.steps[0].why
    assert sum(len(s.before) + len(s.after) + len(s.why) for s in made.steps) < 20 * MAX_PROMPT_CHARS


def test_truncation_is_measured_in_tokens_and_told() -> None:
    made = _adapt(FOX, limit=5)
    step = made.steps[-1]
    assert (step.name, step.before, step.after) == ("truncate", FOX, "A red fox, the background")
    assert step.why == "10 of 15 tokens do not fit: the text encoder reads 5"
    assert made.spec.prompt == FOX
    assert len(made.tokens.kept) == 5


def test_kept_words_are_found_although_the_encoder_lowers_case() -> None:
    def measure(text: str) -> PromptTokens:
        return PromptTokens(("a", "red", "f", "ox"), (",", "rest"), 4)

    made = adapt(DrawSegment("A  Red Fox, rest"), TurnRequest("t", "x"), scripted_info(), measure)
    assert made.steps[-1].after == "A Red Fox"


# ---------------------------------------------------------------- language
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a red fox", "en"), ("un renard roux", "en"), ("", "en"), ("123 !?", "en"), ("🦊", "en"), (ZH, "zh"),
        ("红色的狐狸, cartoon style", "zh"), ("雪の中の狐", "ja"), ("눈 속의 여우", "ko"), ("лиса в снегу", "ru"),
        ("ثعلب في الثلج", "ar"), ("שועל בשלג", "he"), ("a fox named 小明 in a very long english sentence", "en"),
    ],
)  # fmt: skip
def test_language_by_script(text: str, code: str) -> None:
    assert language(text) == code


def _translated(
    answer: str, prompt: str = ZH, languages: tuple[str, ...] = ("en",)
) -> tuple[Adapted, list[tuple[str, ...]]]:
    asked: list[tuple[str, ...]] = []

    def translate(*args: str) -> str:
        asked.append(args)
        return answer

    painter = ScriptedT2I(scripted_info(languages=languages))
    made = adapt(DrawSegment(prompt), TurnRequest("t", "x"), painter.info, painter.measure, translate=translate)
    return made, asked


def test_a_language_the_painter_cannot_read_is_translated_as_a_step() -> None:
    made, asked = _translated(' "A fox in the snow." ')
    assert asked == [(ZH, "zh", "en")]
    assert made.spec.prompt == "A fox in the snow"
    step = made.steps[1]
    assert (step.name, step.before, step.after) == ("translate", ZH, "A fox in the snow")
    assert step.why.startswith("Chinese → English")


@pytest.mark.parametrize("languages", [("zh",), ("en", "zh"), ()])
def test_a_language_it_reads_is_left_alone(languages: tuple[str, ...]) -> None:
    made, asked = _translated("never", languages=languages)
    assert (made.spec.prompt, asked) == (ZH, [])


@pytest.mark.parametrize("answer", ["", " ", "还是一只狐狸"])
def test_a_failed_translation_keeps_the_prompt_and_says_so(answer: str) -> None:
    made, _ = _translated(answer)
    assert made.spec.prompt == ZH
    assert "no translation" in made.steps[1].why


def test_without_a_translator_it_is_said() -> None:
    made = _adapt(ZH)
    assert made.spec.prompt == ZH
    assert "no translator" in made.steps[1].why


def test_english_for_a_painter_of_chinese() -> None:
    made, asked = _translated("一只狐狸", "a fox", ("zh",))
    assert asked == [("a fox", "en", "zh")]
    assert made.spec.prompt == "一只狐狸"


# ---------------------------------------------------------------- settings
def test_what_the_artist_set_is_used_and_recorded() -> None:
    overrides = PaintOverrides(96, 48, steps=9, guidance_scale=1.5, scheduler="euler", negative_prompt=" blurry, ")
    made = _adapt(FOX, overrides=overrides)
    spec = made.spec
    assert (spec.width, spec.height, spec.steps, spec.guidance_scale) == (96, 48, 9, 1.5)
    assert (spec.scheduler, spec.negative_prompt) == ("euler", "blurry")
    step = next(s for s in made.steps if s.name == "settings")
    assert step.after == "96×48, 9 steps, guidance scale 1.5, euler, not: blurry"
    assert "set by you: width, height" in step.why


def test_an_empty_negative_prompt_overrules_the_default() -> None:
    info = scripted_info(negative_prompt="ugly")
    assert _adapt(FOX, info).spec.negative_prompt == "ugly"
    assert _adapt(FOX, info, overrides=PaintOverrides(negative_prompt="")).spec.negative_prompt == ""


def test_sides_snap_to_the_multiple_and_say_so() -> None:
    made = _adapt(FOX, overrides=PaintOverrides(width=61, height=99))
    assert (made.spec.width, made.spec.height) == (64, 96)
    assert ("size", "61×99", "64×96") in [(s.name, s.before, s.after) for s in made.steps]


@pytest.mark.parametrize(
    ("width", "height", "nearest"),
    [
        (8, 64, "32×64"), (64, 4096, "64×128"), (0, 0, "32×32"), (-64, 64, "32×64"), (20_000, 20_000, "128×128"),
        (10**400, 64, "128×64"),
    ],
)  # fmt: skip
def test_a_size_the_painter_cannot_do_names_the_nearest(width: int, height: int, nearest: str) -> None:
    with pytest.raises(BadInputError, match=rf"32 to 128 pixels a side; the nearest it can do is {nearest}\.$"):
        _adapt(FOX, overrides=PaintOverrides(width=width, height=height))


@pytest.mark.parametrize(
    "overrides",
    [
        PaintOverrides(steps=0),
        PaintOverrides(steps=10**6),
        PaintOverrides(guidance_scale=-1.0),
        PaintOverrides(guidance_scale=float("nan")),
        PaintOverrides(guidance_scale=float("inf")),
        PaintOverrides(scheduler="magic"),
        PaintOverrides(scheduler=""),
    ],
)
def test_impossible_settings_are_one_sentence_with_what_to_choose(overrides: PaintOverrides) -> None:
    with pytest.raises(BadInputError, match=r"choose one (from|of) .*\.$"):
        _adapt(FOX, overrides=overrides)


# ---------------------------------------------------------------- seed and consistency
@pytest.mark.parametrize("seed", [-1, SEED_MAX + 1])
def test_a_seed_out_of_range(seed: int) -> None:
    with pytest.raises(BadInputError, match="from 0 to 4294967295"):
        _adapt(FOX, seed=seed)


def test_pictures_of_one_turn_count_the_seed_on() -> None:
    made = [_adapt(FOX, seed=SEED_MAX, slot=slot) for slot in range(2)]
    assert [m.spec.seed for m in made] == [SEED_MAX, 0]
    step = next(s for s in made[1].steps if s.name == "seed")
    assert (step.before, step.after) == (str(SEED_MAX), "0")
    assert "picture 2 of this turn" in step.why


@pytest.mark.parametrize(
    ("seed", "slot", "prompt", "method"),
    [
        (7, 0, FOX.replace("snow", "night"), "seed"),
        (8, 0, FOX.replace("snow", "night"), "none"),
        (7, 1, FOX.replace("snow", "night"), "none"),
        (7, 0, "Three chairs around an old table", "none"),
    ],
)
def test_consistency_is_chosen_from_the_picture_before(seed: int, slot: int, prompt: str, method: str) -> None:
    history = (PastTurn("a", "draw", (), "", (), (FOX,), 7), PastTurn("b", "what is snow?", (), "Frozen water."))
    made = _adapt(prompt, seed=seed, slot=slot, history=history)
    assert made.spec.consistency == method
    step = next(s for s in made.steps if s.name == "consistency")
    assert (step.before, step.after) == (FOX, method)


def test_the_first_picture_has_none_before_it() -> None:
    assert _adapt(FOX).spec.consistency == "none"
