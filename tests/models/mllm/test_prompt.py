"""What the model reads: the template's tokens are special, a person's never are, and merges cross the seams."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from models.contracts import BadInputError, ImageRef, Message
from models.mllm.llama import LlamaMllm
from models.mllm.vision import PicturePiece
from models.training.director.vocabulary import build_tokenizer, read_vocabulary_exactly
from tests.models.mllm.conftest import STARTER, SYSTEM, ask, assistant, user

Pictures = Callable[[str], ImageRef]
SPECIALS = ("<draw>", "</draw>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|image_pad|>", "<|vision_start|>")


@pytest.fixture(scope="module")
def trained_with() -> Tokenizer:
    """The tokenizer the starter was trained with."""
    return build_tokenizer(read_vocabulary_exactly(STARTER / "limner-starter-vl.gguf"))


def plain(*texts: str) -> list[Message]:
    roles = ("user", "assistant")
    return [SYSTEM, *(Message(roles[i % 2], text, turn=i // 2) for i, text in enumerate(texts))]


@pytest.mark.parametrize(
    "texts",
    [
        ("Draw a red fox in the snow",),
        ("画一只红色的狐狸", "<draw> 一只红色的狐狸，背景是雪地", "现在是晚上"),
        ("\nleading newline", "ends with a newline\n", "  spaces  around  "),
        ("\n\n\n", "...", "\t"),
        ("שלום עולם", "🦊🏽‍🚀", "e\u0301 \u200b \u202e"),
        ("It's 12,345 o'clock!", "<draw>A fox</draw> and <draw>an owl</draw>", "thanks"),
    ],
)
def test_tokens_are_those_of_training(starter: LlamaMllm, trained_with: Tokenizer, texts: tuple[str, ...]) -> None:
    messages = plain(*texts)
    rendered = starter.prompts._template.render(messages)
    expected = trained_with.encode(rendered, add_special_tokens=False).ids
    assert list(starter.prompts.build(messages, 16).cells) == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.text(max_size=60))
@example("a\r\nb")
@example(" ")
@example("\u0000")
def test_any_harmless_text_is_tokenized_as_in_the_whole_prompt(starter: LlamaMllm, text: str) -> None:
    messages = [SYSTEM, user("x" + text)]
    whole = starter.prompts._template.render(messages)
    parts = starter._vocabulary.split_specials(whole, starter._vocabulary.specials)
    expected = [i for part in parts for i in ([part] if isinstance(part, int) else starter._vocabulary.tokenize(part))]
    assert list(starter.prompts.build(messages, 16).cells) == expected


@pytest.mark.parametrize("special", SPECIALS)
def test_a_person_cannot_type_a_control_token(starter: LlamaMllm, special: str) -> None:
    harmless = starter.prompts.build([SYSTEM, user("say nothing now")], 16).cells
    typed = starter.prompts.build([SYSTEM, user(f"say {special} now")], 16).cells
    token = starter._vocabulary.specials[special]
    assert typed.count(token) == harmless.count(token)


def test_the_answers_tags_are_control_tokens_and_its_chat_marks_are_not(starter: LlamaMllm) -> None:
    ids = starter._vocabulary.specials
    without = starter.prompts.build([SYSTEM, user("a"), assistant("fox"), user("b", turn=1)], 16).cells
    cells = starter.prompts.build(
        [SYSTEM, user("a"), assistant("<draw>fox<|im_end|><|im_start|>"), user("b", turn=1)], 16
    ).cells
    assert cells.count(ids["<draw>"]) == without.count(ids["<draw>"]) + 1
    assert cells.count(ids["<|im_end|>"]) == without.count(ids["<|im_end|>"])
    assert cells.count(ids["<|im_start|>"]) == without.count(ids["<|im_start|>"])


def test_user_defined_tags_are_broken_up_too(starter: LlamaMllm, monkeypatch: pytest.MonkeyPatch) -> None:
    # The starter has no user-defined tokens; this asks for a cut where one would be.
    import re

    vocabulary = starter._vocabulary
    monkeypatch.setattr(vocabulary, "_loose_tags", re.compile(re.escape("<tool>")))
    assert vocabulary._guard_cuts("a <tool> b", [(0, 10)]) == [3]
    assert vocabulary._guard_cuts("a <tool> b", []) == []
    assert b"".join(map(vocabulary.piece, vocabulary.tokenize("a <tool> b", [(0, 10)]))) == b"a <tool> b"


def test_a_picture_stands_between_its_marks(starter: LlamaMllm, picture: Pictures) -> None:
    cells = starter.prompts.build([SYSTEM, user("What is it?", picture("red"))], 16).cells
    ids = starter._vocabulary.specials
    at = next(i for i, cell in enumerate(cells) if isinstance(cell, PicturePiece))
    assert cells[at - 1 : at + 2 : 2] == (ids["<|vision_start|>"], ids["<|vision_end|>"])
    assert ids["<|image_pad|>"] not in cells


def test_the_answer_begins_after_the_newline_of_training(starter: LlamaMllm) -> None:
    cells = starter.prompts.build([SYSTEM, user("hi")], 16).cells
    assert starter._vocabulary.piece(cells[-1]) == b"\n"  # type: ignore[arg-type]


def test_a_picture_for_a_blind_model(blind: LlamaMllm, picture: Pictures) -> None:
    with pytest.raises(BadInputError, match=r"cannot see pictures.*mmproj"):
        ask(blind, user("What is it?", picture("red")))


def test_a_picture_that_is_gone(starter: LlamaMllm, tmp_path: Path) -> None:
    gone = ImageRef(str(tmp_path / "gone.png"), "0" * 64, 64, 64)
    with pytest.raises(BadInputError, match="not there any more"):
        ask(starter, user("What is it?", gone))


@pytest.mark.parametrize("text", ["a" * 1_000_000, "word " * 200_000, "画" * 333_333, "\n" * 1_000_000])
def test_a_megabyte_is_refused_with_both_sizes(starter: LlamaMllm, text: str) -> None:
    with pytest.raises(BadInputError, match=r"more than 1,024 tokens.*can read 996 at a time; shorten it"):
        ask(starter, SYSTEM, user(text))


@pytest.mark.parametrize("text", ["", " ", "\n", "\u0000\u0007\u001b[31m", "\ud800", "مرحبا", "👩‍👩‍👧‍👦" * 8])
def test_odd_texts_are_answered(starter: LlamaMllm, text: str) -> None:
    answer = ask(starter, SYSTEM, user(text), max_tokens=3)
    assert answer.done.finish in ("stop", "length")


def test_counting_tokens(starter: LlamaMllm, trained_with: Tokenizer) -> None:
    text = "A red fox, the background is snow, the lens is wide, the style is watercolor. " * 300
    assert starter.count_tokens(text) == len(trained_with.encode(text, add_special_tokens=False).ids)
    assert starter.count_tokens("") == 0
    assert starter.count_tokens("<draw>") > 1
