"""Error correction data (DialogGen §4.3): a draft reply, the correction prompt, and the reply that should have come.

In place of a student's outputs and a teacher's verdict, drafts are spoilt under three rules (wrong modality, a field
lost or changed, another subject), and as many are left right. Knows conversations; knows no tokens.
"""

import random
from dataclasses import dataclass, replace

from models.training.director.dialogues import Dialogue, Turn, join_prompt, split_prompt
from models.training.director.vocabulary import REPOSITORY

PROMPT_FILE = REPOSITORY / "resources" / "prompts" / "dialoggen" / "correction.txt"


@dataclass(frozen=True)
class Correction:
    """The turns before, the user's turn with the draft answer, and the same turn with the right one."""

    past: tuple[Turn, ...]
    draft: Turn
    right: Turn


def correction_prompt() -> str:
    """P_c, the user's turn after the draft."""
    return PROMPT_FILE.read_text(encoding="utf-8")


def spoil(turn: Turn, past: tuple[Turn, ...], other: Turn, rng: random.Random) -> Turn:
    """`turn` with a wrong answer."""
    if turn.prompt is None:
        drawn = [earlier.prompt for earlier in past if earlier.prompt]
        return replace(turn, prompt=drawn[-1] if drawn else other.prompt, say=other.say)
    if rng.random() < 0.5 or other.prompt is None:
        return replace(turn, prompt=None, say=other.say)
    fields, strange = list(split_prompt(turn.prompt)), split_prompt(other.prompt)
    index = rng.randrange(4)
    fields[index] = strange[index]
    subject, background, lens, style = fields
    lang = "zh" if "背景是" in turn.prompt else "en"
    return replace(turn, prompt=join_prompt(subject, background, lens, style, lang))


def corrections(dialogues: list[Dialogue], count: int, rng: random.Random) -> list[Correction]:
    """`count` corrections, half of them of drafts that were right."""
    drawn = {
        lang: [turn for dialogue in dialogues if dialogue.lang == lang for turn in dialogue.turns if turn.prompt]
        for lang in {dialogue.lang for dialogue in dialogues}
    }
    made = []
    for number in range(count):
        dialogue = rng.choice(dialogues)
        index = rng.randrange(len(dialogue.turns))
        past, right = dialogue.turns[:index], dialogue.turns[index]
        draft = right if number % 2 else spoil(right, past, rng.choice(drawn[dialogue.lang]), rng)
        made.append(Correction(past, draft, right))
    return made
