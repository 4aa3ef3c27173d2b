"""Measures the shipped director's drawing prompts by letting llama.cpp write them; gathers the model card's figures.

Modality switching itself is in `evaluate`. Knows no training.
"""

import random
from collections import defaultdict
from dataclasses import asdict, dataclass

from models.training.director import vocabulary as vo
from models.training.director.dialogues import Dialogue, split_prompt
from models.training.director.evaluate import Decision, accuracy, table
from models.training.director.rendering import Example, Renderer, answer
from models.training.director.shipped import Speaker


@dataclass(frozen=True)
class Written:
    """One drawing turn written by the model, beside what the data says. `fields` tells which of the four are equal."""

    lang: str
    kind: str
    user: str
    wanted: str
    got: str
    drawn: bool
    well_formed: bool
    fields: tuple[bool, bool, bool, bool]


def prompt_of(reply: str) -> str | None:
    """The drawing prompt of a reply that opens and closes it once; None otherwise."""
    opener, closer = vo.NEW_SPECIALS[vo.DRAW], vo.NEW_SPECIALS[vo.DRAW_END]
    if not reply.startswith(opener) or reply.count(opener) != 1 or reply.count(closer) != 1:
        return None
    return reply.removeprefix(opener).split(closer)[0]


def compare(lang: str, kind: str, user: str, wanted: str, reply: str) -> Written:
    """Judge one reply against the wanted prompt."""
    prompt = prompt_of(reply)
    try:
        parts = split_prompt(prompt or "")
    except ValueError:
        return Written(lang, kind, user, wanted, reply, reply.startswith("<draw>"), False, (False,) * 4)
    same = tuple(got == want for got, want in zip(parts, split_prompt(wanted), strict=True))
    return Written(lang, kind, user, wanted, reply, True, True, same)  # type: ignore[arg-type]


def drawing_turns(dialogues: list[Dialogue], per_group: int, rng: random.Random) -> list[tuple[Dialogue, int]]:
    """Up to `per_group` drawing turns of each language and kind whose conversation so far has no picture."""
    groups: defaultdict[tuple[str, str], list[tuple[Dialogue, int]]] = defaultdict(list)
    for dialogue in dialogues:
        for index, turn in enumerate(dialogue.turns):
            if turn.picture is not None:
                break
            if turn.prompt is not None:
                groups[dialogue.lang, dialogue.kind].append((dialogue, index))
    return [pick for members in groups.values() for pick in rng.sample(members, min(per_group, len(members)))]


def write(speaker: Speaker, renderer: Renderer, dialogue: Dialogue, index: int) -> Written:
    """Let the model answer turn `index` behind the true turns before it."""
    example = Example()
    example.add(renderer.system)
    for turn in dialogue.turns[:index]:
        renderer.add_turn(example, turn)
    turn = dialogue.turns[index]
    reply = speaker.reply(example.ids + renderer.user + renderer.plain(turn.user) + renderer.assistant)
    kind = dialogue.kind + (" edit" if turn.instruction == "editing" else "")
    return compare(dialogue.lang, kind, turn.user, turn.prompt or answer(turn), reply)


def prompt_summary(written: list[Written]) -> dict[str, dict[str, float]]:
    """Percentages by language and kind: drawn, well formed, each field equal, all four equal."""
    groups: defaultdict[str, list[Written]] = defaultdict(list)
    for one in written:
        groups[f"{one.lang} {one.kind}"].append(one)
    return {name: _percentages(members) for name, members in sorted(groups.items())}


def _percentages(members: list[Written]) -> dict[str, float]:
    def percent(flags: list[bool]) -> float:
        return round(100 * sum(flags) / len(flags), 1)

    result = {"turns": float(len(members)), "drawn": percent([one.drawn for one in members])}
    result["well formed"] = percent([one.well_formed for one in members])
    for index, name in enumerate(("subject", "background", "lens", "style")):
        result[f"{name} equal"] = percent([one.fields[index] for one in members])
    result["prompt equal"] = percent([all(one.fields) for one in members])
    return result


def report(decisions: dict[str, list[Decision]], written: list[Written]) -> dict[str, object]:
    """Everything measured, as JSON-able values. `decisions` by what was measured (shipped, f16 …)."""
    return {
        "modality_switching": {name: table(found) for name, found in decisions.items()},
        "by_kind": {name: _by_kind(found) for name, found in decisions.items()},
        "prompts": prompt_summary(written),
        "replies": [asdict(one) for one in written],
    }


def _by_kind(decisions: list[Decision]) -> dict[str, dict[str, float]]:
    groups: defaultdict[str, list[Decision]] = defaultdict(list)
    for decision in decisions:
        groups[f"{decision.lang} {decision.kind}"].append(decision)
    return {name: {"turns": len(found), "right": round(accuracy(found), 1)} for name, found in sorted(groups.items())}


def markdown(measured: dict[str, object], name: str = "shipped") -> str:
    """The modality-switching table of one measured model in Markdown, a row per language and round."""
    tables = measured["modality_switching"]
    assert isinstance(tables, dict)
    columns = ("T->T", "T->I", "I+T->I", "I+T->T", "all")
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for lang, rounds in tables[name].items():
        for number in ("round 1", "round 2", "round 3", "all"):
            cells = [str(rounds[number].get(column, "")) for column in columns]
            lines.append(f"| {lang} {number} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
