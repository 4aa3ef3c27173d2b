"""The words between the rooms survive JSON, and errors find their class again."""

import dataclasses
import json
import types
import typing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import contracts
from models.contracts import (
    ERRORS,
    DrawDone,
    DrawSegment,
    DrawStep,
    MllmInfo,
    MllmPass,
    MllmRequest,
    Modality,
    Reply,
    Step,
    T2IInfo,
    TextSegment,
    TurnDone,
    TurnRequest,
    from_json,
    to_json,
)

st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(bytes, st.none())  # bytes travel beside the JSON
MARKS = {"event", "kind"}


def _strategy(kind: type) -> st.SearchStrategy[Any]:
    """Any value of a contract, its fixed `event`/`kind` marks left alone."""
    hints = typing.get_type_hints(kind)
    given_fields = {f.name: hints[f.name] for f in dataclasses.fields(kind) if f.name not in MARKS}
    return st.builds(kind, **{name: _of(hint) for name, hint in given_fields.items()})


def _of(hint: Any) -> st.SearchStrategy[Any]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*(st.none() if a is type(None) else _of(a) for a in args))
    if origin is tuple:
        return st.lists(_of(args[0]), max_size=2).map(tuple)
    if dataclasses.is_dataclass(hint):
        return _strategy(hint)
    return st.none() if hint is bytes else st.from_type(hint)


@pytest.mark.parametrize(
    "kind", [TurnRequest, MllmRequest, MllmInfo, MllmPass, T2IInfo, Reply, DrawStep, DrawDone, TurnDone]
)
def test_every_contract_survives_json(kind: type) -> None:
    @settings(max_examples=25, deadline=None, database=None)
    @given(_strategy(kind))
    def check(value: Any) -> None:
        assert from_json(kind, json.loads(json.dumps(to_json(value)))) == value

    check()


def test_preview_bytes_stay_out_of_json() -> None:
    assert to_json(Step(1, 4, preview=b"jpeg"))["preview"] is None


def test_unknown_keys_of_a_newer_version_are_ignored() -> None:
    data = to_json(TurnRequest("t1", "a fox")) | {"mood": "blue"}
    assert from_json(TurnRequest, data) == TurnRequest("t1", "a fox")


@pytest.mark.parametrize(
    "data",
    [{}, [], None, 7, {"turn_id": "t", "text": "x", "images": 5}, {"turn_id": "t", "text": "x", "images": [3]}],
)
def test_wrong_shapes_are_value_errors(data: Any) -> None:
    with pytest.raises(ValueError):
        from_json(TurnRequest, data)


def test_wrong_enum_is_a_value_error() -> None:
    with pytest.raises(ValueError):
        from_json(TurnRequest, {"turn_id": "t", "text": "x", "modality": "smell"})


def test_reply_says_and_draws() -> None:
    reply = Reply("…", (TextSegment(" One. "), DrawSegment("a fox"), TextSegment("\n"), TextSegment("Two.")))
    assert reply.say == "One.\n\nTwo."
    assert reply.draws == (DrawSegment("a fox"),)
    assert reply.modality is Modality.IMAGE
    assert Reply("", ()).modality is Modality.TEXT


def test_every_error_has_its_own_code() -> None:
    classes = [c for c in vars(contracts).values() if isinstance(c, type) and issubclass(c, contracts.LimnerError)]
    assert {c.code: c for c in classes} == ERRORS
    assert len({c.code for c in classes}) == len(classes)
