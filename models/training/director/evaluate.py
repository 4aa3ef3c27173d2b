"""Measures the director: modality switching per round, scenario and language (DialogGen Table 2), and drawing prompts.

Works on a torch model or on a shipped GGUF through llama.cpp; knows nothing of training.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from models.training.director import vocabulary as vo
from models.training.director.dialogues import Dialogue
from models.training.director.finetune import batches, input_embeddings
from models.training.director.network import LanguageModel
from models.training.director.rendering import Example


@dataclass(frozen=True)
class Decision:
    """One turn's outcome: `draw` is what must come, `p_draw` what the model gave before any answer token."""

    dialogue: str
    lang: str
    kind: str
    round: int
    scenario: str
    draw: bool
    p_draw: float

    @property
    def right(self) -> bool:
        """Whether the likelier modality is the wanted one."""
        return (self.p_draw > 0.5) == self.draw


Render = Callable[[Dialogue], Example]


@torch.no_grad()
def decide(model: LanguageModel, render: Render, dialogues: list[Dialogue]) -> list[Decision]:
    """P(draw) at every turn, each with the true answers before it in the context (teacher forcing, as in the paper)."""
    owners = {}
    for dialogue in dialogues:
        example = render(dialogue)
        owners[id(example)] = (dialogue, example)
    found: list[Decision] = []
    for batch in batches([example for _, example in owners.values()], 4096, random.Random(0)):
        states = model(input_embeddings(model, batch), batch.positions)
        for row, example in enumerate(batch.examples):
            dialogue = owners[id(example)][0]
            at = torch.tensor([index - 1 for index, _ in example.decisions])
            chances = torch.softmax(model.logits(states[row, at]), -1)[:, vo.DRAW].tolist()
            for number, (turn, chance) in enumerate(zip(dialogue.turns, chances, strict=True), 1):
                kind = (dialogue.id, dialogue.lang, dialogue.kind, number, turn.scenario, turn.prompt is not None)
                found.append(Decision(*kind, chance))
    return found


def accuracy(decisions: Iterable[Decision]) -> float:
    """Share of right decisions in percent; nan for none."""
    right = [decision.right for decision in decisions]
    return 100.0 * sum(right) / len(right) if right else float("nan")


def table(decisions: list[Decision]) -> dict[str, dict[str, dict[str, float]]]:
    """{lang: {"round N" | "all": {scenario | "all": percent}}} over the three-turn dialogues."""
    cells: defaultdict[tuple[str, str, str], list[Decision]] = defaultdict(list)
    for decision in decisions:
        if decision.kind != "D_T":
            continue
        for number in (f"round {decision.round}", "all"):
            for scenario in (decision.scenario, "all"):
                cells[decision.lang, number, scenario].append(decision)
    result: dict[str, dict[str, dict[str, float]]] = {}
    for (lang, number, scenario), members in sorted(cells.items()):
        result.setdefault(lang, {}).setdefault(number, {})[scenario] = round(accuracy(members), 1)
    return result


def summary(decisions: list[Decision]) -> str:
    """One line for the log: accuracy by language and kind."""
    groups: defaultdict[tuple[str, str], list[Decision]] = defaultdict(list)
    for decision in decisions:
        groups[decision.lang, decision.kind].append(decision)
    named = sorted(groups.items())
    parts = [f"{lang} {kind} {accuracy(members):.1f}% of {len(members)}" for (lang, kind), members in named]
    return "modality switching: " + ", ".join(parts)
