"""Dispatches a reply's segments in order: words to the chat, drawing requests to numbered slots. Paints nothing."""

from dataclasses import dataclass

from models.contracts import BadInputError, DrawSegment, Modality, Reply, TextSegment, TurnRequest

MAX_COUNT = 16
"""Variations of one request in one turn."""


@dataclass(frozen=True)
class Slot:
    """One picture to paint. `number` counts the turn's pictures from 0; `variation` those of one request from 0."""

    number: int
    segment: DrawSegment
    variation: int = 0


def route(reply: Reply, request: TurnRequest) -> tuple[TextSegment | Slot, ...]:
    """What is to be said and painted, in the order it was written (a story interleaves both).

    `overrides.count` variations of every request follow each other. With modality TEXT nothing is painted. With
    modality IMAGE something always is: a reply without a request gets one with an empty prompt, for which the adapter
    takes the user's own words.
    """
    count = check_count(request.overrides.count)
    segments = list(reply.segments)
    if request.modality is Modality.IMAGE and not reply.draws:
        segments.insert(0, DrawSegment(""))
    routed: list[TextSegment | Slot] = []
    number = 0
    for segment in segments:
        if isinstance(segment, TextSegment):
            routed.append(segment)
        elif request.modality is not Modality.TEXT:
            routed += [Slot(number + v, segment, v) for v in range(count)]
            number += count
    return tuple(routed)


def slots(reply: Reply, request: TurnRequest) -> tuple[Slot, ...]:
    """Only what is to be painted."""
    return tuple(part for part in route(reply, request) if isinstance(part, Slot))


def check_count(count: int) -> int:
    """1..MAX_COUNT, else BadInputError."""
    if not 1 <= count <= MAX_COUNT:
        raise BadInputError(f"{count} pictures at a time cannot be painted: ask for 1 to {MAX_COUNT}.")
    return count
