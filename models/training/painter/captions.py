"""Captions for scenes, in the form the director writes its drawing prompts, English and Chinese.

"A <subject>, the background is …, the lens is …, the style is …" / "<主体>，背景是…，镜头是…，风格是…", varied:
synonyms, adjectives the picture does not contradict, details it does not show (so that they come to be ignored), other
orders, missing clauses. Knows scenes and words, no tokenizer.
"""

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

from models.training.scenes import BACKGROUNDS, LENSES, STYLES, Scene, painter_subjects

_PLACE_WORDS = (
    "snow",
    "sunset",
    "night",
    "beach",
    "forest",
    "space",
    "sea",
    "rain",
    "雪",
    "夜",
    "海",
    "林",
    "雨",
    "山",
)
_MOODS = (
    "sitting",
    "standing",
    "looking at the viewer",
    "all alone",
    "in the middle",
    "seen from the front",
    "very still",
)
_ENGLISH_FORMS = {"background": "the background is {}", "lens": "the lens is {}", "style": "the style is {}"}
_CHINESE_FORMS = {"background": "背景是{}", "lens": "镜头是{}", "style": "风格是{}"}


@cache
def phrases() -> dict[str, Any]:
    """Synonyms and details (phrases.json)."""
    loaded: dict[str, Any] = json.loads((Path(__file__).parent / "phrases.json").read_text(encoding="utf-8"))
    return loaded


def plain_caption(scene: Scene, language: str = "en") -> str:
    """The caption with every clause and the first name of everything."""
    subject = painter_subjects()[scene.subject]
    fields = {"background": scene.background, "lens": scene.lens, "style": scene.style}
    if language == "en":
        clauses = [_ENGLISH_FORMS[key].format(value) for key, value in fields.items()]
        return ", ".join([_with_article(subject.en[0]), *clauses])
    named = {"background": BACKGROUNDS[scene.background], "lens": LENSES[scene.lens], "style": STYLES[scene.style]}
    clauses = [_CHINESE_FORMS[key].format(value) for key, value in named.items()]
    return "，".join([f"一{subject.measure}{subject.zh[0]}", *clauses])


def random_caption(scene: Scene, rng: random.Random, empty: float = 0.1) -> str:
    """One way of saying the scene; "" with the given chance (for guidance)."""
    if rng.random() < empty:
        return ""
    language = "en" if rng.random() < 0.5 else "zh"
    subject_first = _english_subject(scene, rng) if language == "en" else _chinese_subject(scene, rng)
    told, clauses = _clauses(scene, language, rng)
    if not told and rng.random() < 0.7:
        subject_first = _placed(subject_first, scene, language, rng)
    separator = ", " if language == "en" else "，"
    text = separator.join([subject_first, *clauses])
    return text if rng.random() < 0.9 else text + ("." if language == "en" else "。")


def _clauses(scene: Scene, language: str, rng: random.Random) -> tuple[bool, list[str]]:
    """Whether the background is told, and the clauses after the subject."""
    keys = ["background", "lens", "style"]
    if rng.random() < 0.25:
        keys = [key for key in keys if rng.random() < 0.65]
    if rng.random() < 0.12:
        rng.shuffle(keys)
    forms = _ENGLISH_FORMS if language == "en" else _CHINESE_FORMS
    return "background" in keys, [forms[key].format(_said(scene, key, language, rng)) for key in keys]


def _said(scene: Scene, key: str, language: str, rng: random.Random) -> str:
    value = {"background": scene.background, "lens": scene.lens, "style": scene.style}[key]
    table = {"background": BACKGROUNDS, "lens": LENSES, "style": STYLES}[key]
    if rng.random() < 0.75:
        return value if language == "en" else table[value]
    others: list[str] = phrases()[{"background": "backgrounds", "lens": "lenses", "style": "styles"}[key]][value][
        language
    ]
    return rng.choice(others)


def _with_article(words: str, capital: bool = True) -> str:
    article = "an" if words[0].lower() in "aeiou" and not words.lower().startswith("uni") else "a"
    text = f"{article} {words}"
    return text[0].upper() + text[1:] if capital else text


def _english_subject(scene: Scene, rng: random.Random) -> str:
    subject = painter_subjects()[scene.subject]
    name = subject.en[0] if rng.random() < 0.7 else rng.choice(subject.en)
    if rng.random() < 0.35:
        name = f"{rng.choice(subject.adjectives_en)} {name}"
    text = _with_article(name, capital=rng.random() < 0.8)
    if rng.random() < 0.05:
        text = rng.choice(["One ", "The ", "A picture of a "]) + name
    if rng.random() < 0.25:
        text += " " + (rng.choice(phrases()["details_en"]) if rng.random() < 0.75 else rng.choice(_MOODS))
    return text


def _chinese_subject(scene: Scene, rng: random.Random) -> str:
    subject = painter_subjects()[scene.subject]
    name = subject.zh[0] if rng.random() < 0.7 else rng.choice(subject.zh)
    if rng.random() < 0.35:
        name = rng.choice(subject.adjectives_zh) + name
    elif rng.random() < 0.2:
        name = rng.choice(phrases()["details_zh_before"]) + name
    text = f"一{subject.measure}{name}" if rng.random() < 0.93 else name
    if rng.random() < 0.12:
        text += rng.choice(phrases()["details_zh_after"])
    return text


def _placed(subject: str, scene: Scene, language: str, rng: random.Random) -> str:
    """The place inside the subject clause: "a fox in the snow". A detail that names another place is left alone."""
    if any(word in subject for word in _PLACE_WORDS):
        return subject
    place = rng.choice(phrases()["backgrounds"][scene.background][f"place_{language}"])
    return f"{subject} {place}" if language == "en" else subject + place
