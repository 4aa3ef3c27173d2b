"""The hand-written conversations: loading, checking, splitting.

D_T (three turns, `en-*`/`zh-*`), D_p (`dp-*`), D_o (`do-*`) and conversations about a picture (`vq-*`) all become the
same `Dialogue`. Knows no tokens. Schema: models/training/data/dialogues/README.md.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA_FOLDER = Path(__file__).resolve().parents[1] / "data" / "dialogues"
SCENARIOS = ("T->T", "T->I", "I+T->T", "I+T->I")
VALIDATION_PERCENT = 8


@dataclass(frozen=True)
class Picture:
    """What an attached picture shows, in the four fields of a drawing prompt; always in English. "" where unknown."""

    subject: str
    background: str
    lens: str
    style: str


@dataclass(frozen=True)
class Turn:
    """One exchange. `prompt` is None where the answer is words."""

    user: str
    say: str
    prompt: str | None = None
    picture: Picture | None = None
    instruction: str = "qa"

    @property
    def scenario(self) -> str:
        """The modality composition, in the form of DialogGen's Table 2."""
        return ("I+T" if self.picture else "T") + "->" + ("T" if self.prompt is None else "I")


@dataclass(frozen=True)
class Dialogue:
    """One conversation; `kind` is D_T, D_p, D_o or VQA (or a synthetic kind)."""

    id: str
    lang: str
    kind: str
    turns: tuple[Turn, ...]


def split_prompt(prompt: str) -> tuple[str, str, str, str]:
    """Subject, background, lens and style of a drawing prompt in DialogGen's form, en or zh. ValueError otherwise."""
    english = (", the background is ", ", the lens is ", ", the style is ")
    marks = english if english[0] in prompt else ("，背景是", "，镜头是", "，风格是")
    rest, parts = prompt, []
    for mark in reversed(marks):
        rest, found, part = rest.rpartition(mark)
        if not found or not part.strip():
            raise ValueError(f"not a drawing prompt: {prompt!r}")
        parts.append(part)
    return rest, parts[2], parts[1], parts[0]


def join_prompt(subject: str, background: str, lens: str, style: str, lang: str) -> str:
    """The drawing prompt that `split_prompt` takes apart."""
    if lang == "zh":
        return f"{subject}，背景是{background}，镜头是{lens}，风格是{style}"
    return f"{subject}, the background is {background}, the lens is {lens}, the style is {style}"


def _picture(image: dict[str, Any] | None, prompts: list[str | None], english: dict[str, str]) -> Picture | None:
    if image is None:
        return None
    if "upload" in image:
        return Picture(**image["upload"])
    prompt = prompts[image["turn"] - 1]
    if prompt is None:
        raise ValueError("a picture is referred to that was never drawn")
    subject, *fields = split_prompt(prompt)
    for article in ("A ", "An ", "The ", "Two ", "Three "):
        subject = subject.removeprefix(article)
    return Picture(_english_subject(subject, english), *(english.get(field, field) for field in fields))


def _english_subject(subject: str, english: dict[str, str]) -> str:
    """The longest known Chinese name in the subject phrase, in English; an English phrase stays as it is."""
    if subject.isascii():
        return subject
    found = [name for name in english if name in subject]
    return english[max(found, key=len)] if found else ""


def _three_turns(row: dict[str, Any], english: dict[str, str]) -> Iterator[Turn]:
    prompts: list[str | None] = []
    for turn in row["turns"]:
        answer = turn["assistant"]
        picture = _picture(turn["image"], prompts, english)
        prompt = answer["prompt"] if answer["modality"] == "image" else None
        prompts.append(prompt)
        yield Turn(turn["user"], answer["say"], prompt, picture, turn["instruction"])


def parse_row(row: dict[str, Any], english: dict[str, str]) -> Dialogue:
    """One JSON object of any of the four kinds → Dialogue. KeyError or ValueError where it breaks the schema."""
    prefix = row["id"].split("-")[0]
    kind = {"dp": "D_p", "do": "D_o", "vq": "VQA"}.get(prefix, "D_T")
    if kind == "D_T":
        turns = tuple(_three_turns(row, english))
    elif kind == "D_p":
        turns = (Turn(row["user"], row["say"], row["prompt"], None, "generation"),)
    else:
        upload = Picture(**row["upload"]) if kind == "VQA" else None
        turns = tuple(Turn(t["user"], t["say"], None, upload if i == 0 else None) for i, t in enumerate(row["turns"]))
    return Dialogue(row["id"], row["lang"], kind, turns)


def load_dialogues(english: dict[str, str], folder: Path = DATA_FOLDER) -> list[Dialogue]:
    """Every dialogue of the folder. `english` maps Chinese names of fields and subjects to the English ones."""
    return [parse_row(row, english) for row in read_rows(folder)]


def read_rows(folder: Path = DATA_FOLDER) -> list[dict[str, Any]]:
    """The JSON objects of every `*.jsonl` in `folder`, by file name."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jsonl"))]
    return [json.loads(line) for text in texts for line in text.split("\n") if line]


def is_validation(dialogue_id: str) -> bool:
    """True for the dialogues that are never trained on: 8%, chosen by a hash of the id, so the split never moves."""
    return int(hashlib.sha256(dialogue_id.encode()).hexdigest(), 16) % 100 < VALIDATION_PERCENT


def split(dialogues: list[Dialogue]) -> tuple[list[Dialogue], list[Dialogue]]:
    """(training part, validation part), split by dialogue."""
    training = [dialogue for dialogue in dialogues if not is_validation(dialogue.id)]
    return training, [dialogue for dialogue in dialogues if is_validation(dialogue.id)]
