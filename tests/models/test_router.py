"""The router: order, slots, variations, modality."""

import pytest

from models.contracts import BadInputError, DrawSegment, Modality, PaintOverrides, Reply, TextSegment, TurnRequest
from models.router import Slot, route, slots

STORY = Reply("", (TextSegment("First"), DrawSegment("a hut"), TextSegment("then"), DrawSegment("a castle", "edit")))
WORDS = Reply("", (TextSegment("A fox eats mice."),))


def _request(modality: Modality = Modality.AUTO, count: int = 1) -> TurnRequest:
    return TurnRequest("t", "tell me a story", modality=modality, overrides=PaintOverrides(count=count))


def test_a_story_keeps_its_order() -> None:
    hut, castle = STORY.draws
    assert route(STORY, _request()) == (TextSegment("First"), Slot(0, hut), TextSegment("then"), Slot(1, castle))


def test_variations_follow_each_other() -> None:
    numbers = [(s.number, s.segment.prompt, s.variation) for s in slots(STORY, _request(count=2))]
    assert numbers == [(0, "a hut", 0), (1, "a hut", 1), (2, "a castle", 0), (3, "a castle", 1)]


@pytest.mark.parametrize("count", [0, -1, 17, 10**9])
def test_a_silly_count_is_refused(count: int) -> None:
    with pytest.raises(BadInputError, match="ask for 1 to 16"):
        route(STORY, _request(count=count))


def test_words_only_paints_nothing() -> None:
    assert slots(STORY, _request(Modality.TEXT)) == ()
    assert slots(WORDS, _request()) == ()


def test_picture_wanted_always_paints() -> None:
    assert route(WORDS, _request(Modality.IMAGE)) == (Slot(0, DrawSegment("")), WORDS.segments[0])
    assert [s.segment for s in slots(STORY, _request(Modality.IMAGE))] == list(STORY.draws)
