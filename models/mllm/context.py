"""Which turns still fit when the context is full: whole oldest turns leave, in large steps.

Pure arithmetic over token counts. Knows neither tokenizer nor model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.contracts import ImageRef, Message

ROOM_AFTER_DROPPING = 0.6
"""Share of the budget that is filled after turns have left. Leaving room for some turns keeps the start of the prompt,
and with it the prefix cache, unchanged until the context is full again."""


@dataclass(frozen=True)
class TurnSize:
    """Tokens of a turn: `asked` when it was the newest (the user's part), `full` with the answer."""

    asked: int
    full: int


def first_kept(turns: Sequence[TurnSize], fixed: int, budget: int) -> int:
    """Index of the oldest turn that stays. `fixed` tokens (the system part) always stay; the newest turn always stays.

    Replays the conversation from its start, so that the answer for a longer conversation begins with the same drops.
    """
    start, total = 0, fixed
    for newest, turn in enumerate(turns):
        if total + turn.asked > budget:
            while start < newest and total + turn.asked > budget * ROOM_AFTER_DROPPING:
                total -= turns[start].full
                start += 1
        total += turn.full
    return start


def without_turns(messages: Sequence[Message], dropped: frozenset[int]) -> tuple[Message, ...]:
    """The messages that stay; the latest picture, if it would leave, moves in front of the newest user message."""
    kept = [m for m in messages if m.turn is None or m.turn not in dropped]
    latest = latest_picture(messages)
    if latest is not None and latest not in (ref for m in kept for ref in m.images):
        newest = max(i for i, m in enumerate(kept) if m.role == "user")
        kept[newest] = replace(kept[newest], images=(latest, *kept[newest].images))
    return tuple(kept)


def latest_picture(messages: Sequence[Message]) -> ImageRef | None:
    """The last picture shown or drawn in the conversation."""
    return next((m.images[-1] for m in reversed(messages) if m.images), None)
