"""Sentences of the engine (errors, reasons of the adapter) in the language shown.

The engine speaks English and knows no Qt; its sentences carry names and numbers. The file `engine_zh.json` among the
translations pairs their patterns with Chinese ones. A sentence that has no pair is shown as it is.
"""

import json
import re
from functools import cache

from desktop.ui.words import Language
from resources import resource


def engine_words(sentence: str) -> str:
    """The sentence in the language shown."""
    if Language.spoken != "zh":
        return sentence
    for pattern, chinese in _pairs():
        if found := pattern.fullmatch(sentence):
            return chinese.format(*found.groups())
    return sentence


@cache
def _pairs() -> list[tuple[re.Pattern[str], str]]:
    pairs = json.loads(resource("translations", "engine_zh.json").read_text(encoding="utf-8"))
    return [(pattern(english), chinese) for english, chinese in pairs]


def pattern(english: str) -> re.Pattern[str]:
    """A pattern whose groups are the places {0}, {1}, … of an English sentence, in this order."""
    parts = re.split(r"\{\d\}", english)
    return re.compile("(.+?)".join(re.escape(part) for part in parts), re.DOTALL)
