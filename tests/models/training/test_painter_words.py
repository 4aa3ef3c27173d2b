"""What the painter reads: captions in both languages, and a tokenizer that keeps Chinese characters whole."""

import random
from pathlib import Path

import pytest
from transformers import CLIPTokenizer, CLIPTokenizerFast

from models.contracts import KnownError
from models.training.painter.captions import phrases, plain_caption, random_caption
from models.training.painter.config import load_config
from models.training.painter.prompts import contact_prompts
from models.training.painter.scenes_data import random_scene
from models.training.painter.tokenizer import train_tokenizer
from models.training.scenes import BACKGROUNDS, LENSES, STYLES, Scene

SHIPPED = Path(__file__).parents[3] / "resources" / "models" / "limner-starter-sd"
FOX = Scene("fox", "a snowy mountain", "medium shot", "cartoon")


def is_chinese(text: str) -> bool:
    return any("\u4e00" <= c <= "\u9fff" for c in text)


def test_a_plain_caption_has_the_directors_form() -> None:
    assert (
        plain_caption(FOX) == "A fox, the background is a snowy mountain, the lens is medium shot, the style is cartoon"
    )
    assert plain_caption(FOX, "zh") == "一只狐狸，背景是雪山，镜头是中景，风格是卡通"


def test_captions_come_in_both_languages_and_some_are_empty() -> None:
    rng = random.Random(0)
    said = [random_caption(FOX, rng) for _ in range(400)]
    empty = sum(not text for text in said)
    chinese = sum(is_chinese(text) for text in said)
    assert 15 < empty < 80 and 120 < chinese < 240
    assert len(set(said)) > 200


def test_a_caption_never_names_another_field_value() -> None:
    rng = random.Random(1)
    foreign = {
        "the style is oil painting",
        "the lens is close-up",
        "the background is a desert",
        "风格是油画",
        "镜头是特写",
        "背景是沙漠",
    }
    for _ in range(500):
        text = random_caption(FOX, rng)
        assert not any(clause in text for clause in foreign)


def test_every_field_has_synonyms_in_both_languages() -> None:
    for key, table in (("backgrounds", BACKGROUNDS), ("lenses", LENSES), ("styles", STYLES)):
        assert set(phrases()[key]) == set(table)
        assert all(said["en"] and said["zh"] for said in phrases()[key].values())


def test_the_contact_prompts_cover_both_languages() -> None:
    prompts = contact_prompts(load_config("cpu-128"))
    assert len(prompts) == 30
    assert sum(is_chinese(p) for p in prompts) == 15


def test_an_unknown_configuration_is_one_sentence() -> None:
    with pytest.raises(KnownError, match="cpu-128"):
        load_config("no-such")


def test_a_trained_tokenizer_reads_back_and_keeps_characters(tmp_path: Path) -> None:
    rng, config = random.Random(0), load_config("cpu-128")
    texts = [random_caption(random_scene(config, rng), rng, empty=0) for _ in range(600)]
    train_tokenizer(texts, tmp_path)
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path)
    assert tokenizer.model_max_length == 77
    assert len(tokenizer("一只狐狸，背景是雪山").input_ids) == 10 + 2
    text = "a fox, the background is a snowy mountain"
    assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True).replace(" ", "") == text.replace(
        " ", ""
    )


def test_the_shipped_tokenizer_keeps_chinese_characters_whole() -> None:
    tokenizer = CLIPTokenizer.from_pretrained(SHIPPED / "tokenizer")
    for prompt in (p for p in contact_prompts(load_config("cpu-128")) if is_chinese(p)):
        assert len(tokenizer(prompt.replace("3D", "")).input_ids) == len(prompt.replace("3D", "")) + 2


def test_the_fast_tokenizer_sees_as_many_tokens() -> None:
    slow, fast = (c.from_pretrained(SHIPPED / "tokenizer") for c in (CLIPTokenizer, CLIPTokenizerFast))
    text = "一只狐狸，背景是雪山，镜头是中景，风格是卡通"
    assert len(slow(text).input_ids) == len(fast(text).input_ids)
