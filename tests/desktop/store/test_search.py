"""Finding turns by their words, in any language, whatever is typed."""

from collections.abc import Callable

import pytest

from desktop.store.records import TurnRecord
from desktop.store.store import Store

Take = Callable[..., TurnRecord]


@pytest.fixture
def turns(store: Store, take_turn: Take) -> dict[str, str]:
    session = store.create_session()
    talk = {
        "fox": ("Draw a red fox", "a red fox in the snow, 50% grey_scale"),
        "chinese": ("画一只红狐狸", "雪地里的红狐狸"),
        "words": ("What does a FOX eat?", None),
        "owl": ("and an owl", 'an owl on a "branch" AND a moon'),
    }
    return {name: take_turn(session.id, None, text, prompt).id for name, (text, prompt) in talk.items()}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("red fox", ["fox"]),
        ("fox", ["owl", "words", "chinese", "fox"]),  # every answer says "Here is your fox."
        ("snow RED", ["fox"]),
        ("狐狸", ["chinese"]),
        ("红狐狸", ["chinese"]),
        ("雪", ["chinese"]),
        ("狐狸 雪地里", ["chinese"]),
        ("50%", ["fox"]),
        ("0%", ["fox"]),
        ("y_", ["fox"]),
        ('"branch"', ["owl"]),
        ("AND moon", ["owl"]),
        ("moon*", []),
        ("dragon", []),
        ("  ", []),
        ("asked: owl", []),
        ("'; DROP TABLE turns; --", []),
        ("\x00", []),
    ],
)
def test_what_is_found(store: Store, turns: dict[str, str], text: str, found: list[str]) -> None:
    names = {turn_id: name for name, turn_id in turns.items()}
    assert [names[hit.turn_id] for hit in store.search(text)] == found


def test_a_hit_shows_where_the_words_are(store: Store, turns: dict[str, str]) -> None:
    hit = store.search("snow")[0]
    assert (hit.kind, hit.turn_id) == ("prompt", turns["fox"])
    assert hit.excerpt == "a red fox in the snow, 50% grey_scale"
    assert (store.search("does")[0].kind, store.search("your")[0].kind) == ("text", "answer")


def test_the_newest_come_first_up_to_a_limit(store: Store, turns: dict[str, str]) -> None:
    assert [hit.turn_id for hit in store.search("fox", limit=2)] == [turns["owl"], turns["words"]]


def test_a_long_text_is_cut_to_the_place(store: Store, take_turn: Take) -> None:
    take_turn(store.create_session().id, text="word " * 2000 + "needle " + "word " * 2000, prompt=None)
    excerpt = store.search("needle")[0].excerpt
    assert excerpt.startswith("…") and excerpt.endswith("…") and "needle" in excerpt and len(excerpt) < 100
