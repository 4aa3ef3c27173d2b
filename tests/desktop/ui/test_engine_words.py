"""The engine's sentences in Chinese: places keep their values, unknown sentences stay as they are."""

import ast
import json
import re
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

import desktop
from desktop.ui.engine_words import engine_words, pattern
from desktop.ui.words import Language
from models.workers.channel import death_sentence
from resources import resource

PAIRS = json.loads(resource("translations", "engine_zh.json").read_text(encoding="utf-8"))
ROOT = Path(desktop.__file__).parents[1]


@pytest.fixture
def chinese(qapp: QApplication) -> None:
    Language(qapp).speak("zh")


@pytest.mark.usefixtures("chinese")
def test_places_keep_their_values() -> None:
    assert engine_words("the defaults of limner-starter-sd") == "limner-starter-sd 的默认值"
    words = engine_words("9 of 33 tokens do not fit: the text encoder reads 24")
    assert words == "33 个词元中有 9 个放不下：文本编码器只读 24 个"
    assert engine_words("Something nobody has translated.") == "Something nobody has translated."


@pytest.mark.usefixtures("chinese")
def test_a_dead_worker_is_told_in_chinese() -> None:
    assert engine_words(death_sentence("painter", -9)).startswith("画师意外停下了")
    assert engine_words(death_sentence("director", None)).startswith("导演意外停下了")


def test_english_stays_english(qapp: QApplication) -> None:
    assert engine_words("the seed of this turn") == "the seed of this turn"


@pytest.mark.parametrize(("english", "translated"), PAIRS, ids=range(len(PAIRS)))
def test_pairs_fit_each_other(english: str, translated: str) -> None:
    places = re.findall(r"\{(\d)\}", english)
    assert places == [str(i) for i in range(len(places))], "places are numbered in order"
    assert set(re.findall(r"\{(\d)\}", translated)) <= set(places)
    values = [f"value{i}" for i in range(len(places))]
    found = pattern(english).fullmatch(english.format(*values))
    assert found and list(found.groups()) == values


def test_no_pair_has_lost_its_sentence() -> None:
    """Each English pattern still stands somewhere in the engine."""
    said = "\n".join(_sentences(f) for folder in ("models", "desktop") for f in (ROOT / folder).rglob("*.py"))
    assert [e for e, _ in PAIRS if not _is_said(e, said) and not _is_said(_without_names(e), said)] == []


def _without_names(english: str) -> str:
    return re.sub("director|painter|any model", "{}", english)


def _is_said(english: str, said: str) -> bool:
    return all(part in said for part in re.split(r"\{\d?\}", english) if part)


def _sentences(file: Path) -> str:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    texts = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return "\n".join(re.sub(r"\{\w*\}", "\n", text) for text in texts)
