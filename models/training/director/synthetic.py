"""Mixes the training conversations of one epoch: D_T, D_o, D_p, shuffled-and-concatenated D_pm, and templated sessions.

Knows conversations as `Dialogue`s; knows no tokens and no model. Every choice comes from the given random generator.
"""

import random

from models.training.director.dialogues import Dialogue
from models.training.director.sessions import LANGUAGES, drawing_session, picture_session

SESSIONS_PER_EPOCH = {"en": 350, "zh": 700}
PICTURES_PER_EPOCH = {"en": 150, "zh": 150}
"""Chinese twice as often: the base model knows hardly any."""


def concatenate(singles: list[Dialogue], rng: random.Random) -> list[Dialogue]:
    """D_pm (paper §4.2): conversations of one language strung together, one to three at a time."""
    result = []
    for lang in LANGUAGES:
        pool = [dialogue for dialogue in singles if dialogue.lang == lang]
        rng.shuffle(pool)
        while pool:
            taken = [pool.pop() for _ in range(min(len(pool), rng.randint(1, 3)))]
            turns = tuple(turn for dialogue in taken for turn in dialogue.turns)
            result.append(Dialogue("+".join(dialogue.id for dialogue in taken), lang, "D_pm", turns))
    return result


def sessions(rng: random.Random, drawings: dict[str, int], pictures: dict[str, int]) -> list[Dialogue]:
    """Fresh templated sessions in random order, so many of each kind per language."""
    made = [drawing_session(lang, rng, number) for lang in LANGUAGES for number in range(drawings[lang])]
    made += [picture_session(lang, rng, number) for lang in LANGUAGES for number in range(pictures[lang])]
    rng.shuffle(made)
    return made


def focused(dialogues: list[Dialogue], focus: str | None, rng: random.Random) -> list[Dialogue]:
    """All of the language `focus` and a third of the others; everything without a focus."""
    return [dialogue for dialogue in dialogues if focus in (None, dialogue.lang) or rng.random() < 1 / 3]


def mixture(training: list[Dialogue], rng: random.Random, focus: str | None = None) -> list[Dialogue]:
    """One epoch: every D_T once, the single conversations inside D_pm, and new templated sessions.

    With a `focus` the hand-written dialogues of the other language, and the sessions, are thinned to a third.
    """
    training = focused(training, focus, rng)
    threes = [dialogue for dialogue in training if dialogue.kind == "D_T"]
    singles = [dialogue for dialogue in training if dialogue.kind != "D_T"]
    made = sessions(rng, SESSIONS_PER_EPOCH, PICTURES_PER_EPOCH)
    made = made[: len(made) // 3] if focus else made
    alone, mixed = made[: len(made) * 3 // 4], made[len(made) * 3 // 4 :]
    return threes + alone + concatenate(singles + mixed, rng)
