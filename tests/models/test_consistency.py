"""Prompt diffs: the kind of edit is read from the prompts, and the method follows from it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.consistency import EDIT_KINDS, MAX_CHARS, Choice, Situation, choose, compare, fields

FOX = "A red fox, the background is snow, the lens is close-up, the style is cartoon"
ZH = "一只狐狸，背景是雪地，镜头是特写，风格是水彩"


def test_clauses_by_field() -> None:
    assert fields(FOX) == {
        "subject": "A red fox",
        "background": "the background is snow",
        "lens": "the lens is close-up",
        "style": "the style is cartoon",
    }
    assert fields(ZH)["background"] == "背景是雪地"
    assert fields("") == {}


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (FOX, FOX, "same"),
        (FOX, FOX.upper(), "same"),
        (FOX, FOX.replace("snow", "a starry night"), "background"),
        (FOX, FOX.replace("cartoon", "oil painting"), "style"),
        (FOX, FOX.replace("close-up", "panoramic"), "lens"),
        (FOX, FOX.replace("red fox", "grey wolf"), "entity"),
        (FOX, FOX.replace("red fox", "red fox with a green hat"), "add"),
        (FOX.replace("red fox", "red fox with a green hat"), FOX, "remove"),
        (FOX, FOX.replace("snow", "a forest").replace("cartoon", "sticker"), "mixed"),
        (ZH, ZH.replace("雪地", "星空"), "background"),
        (ZH, ZH.replace("水彩", "剪纸"), "style"),
        (ZH, ZH.replace("狐狸", "猫头鹰"), "entity"),
        (ZH, ZH.replace("一只狐狸", "一只戴帽子狐狸"), "add"),
        (FOX, "Three chairs around an old table", "new"),
        ("", FOX, "new"),
    ],
)
def test_kind_of_edit(before: str, after: str, kind: str) -> None:
    assert compare(before, after).kind == kind


def test_mixed_edits_name_their_kinds_in_order() -> None:
    edit = compare(FOX, FOX.replace("cartoon", "sticker").replace("snow", "a forest"))
    assert edit.kinds == ("background", "style")
    assert [k for k in EDIT_KINDS if k in edit.kinds] == list(edit.kinds)


def test_two_subjects_of_earlier_pictures_are_a_combination() -> None:
    hen = FOX.replace("red fox", "white hen")
    both = FOX.replace("A red fox", "A red fox and a white hen side by side")
    assert compare(hen, both, [FOX, hen]).kind == "combine"
    assert compare(hen, both, [hen]).kind == "add"


def test_pieces_show_what_came_and_went() -> None:
    pieces = compare(FOX, FOX.replace("snow", "a starry night")).pieces
    assert [(p.op, p.text, p.field) for p in pieces if p.op != "keep"] == [
        ("delete", "snow", "background"),
        ("insert", "a starry night", "background"),
    ]


@settings(max_examples=80, deadline=None, database=None)
@given(st.text(max_size=120), st.text(max_size=120))
def test_pieces_rebuild_both_prompts(before: str, after: str) -> None:
    def dense(text: str) -> str:
        return "".join(text.split())

    edit = compare(before, after)
    assert dense("".join(p.text for p in edit.pieces if p.op != "delete")).casefold() == dense(after).casefold()
    kept = "".join(p.text for p in edit.pieces if p.op != "insert")
    assert dense(kept).casefold() == dense(before).casefold() or edit.kind == "same"
    assert 0.0 <= edit.common <= 1.0


def test_endless_prompts_are_compared_by_their_beginning() -> None:
    edit = compare("fox " * 10**6, "hen " * 10**6)
    assert sum(len(p.text) for p in edit.pieces) <= 2 * MAX_CHARS


def test_the_choice_and_its_reason() -> None:
    small, other = compare(FOX, FOX.replace("snow", "rain")), compare(FOX, "Three chairs around an old table")
    assert choose(Situation(small, True)) == Choice("seed", "same seed and a small change of the prompt (background)")
    assert choose(Situation(small, False)) == Choice("none", "another seed")
    assert choose(Situation(other, True)) == Choice("none", "a new picture, not a change of the one before")
    assert choose(Situation(None, False)) == Choice("none", "no picture came before")
