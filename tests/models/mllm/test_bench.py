"""The measurements run and measure; no figure is asserted, machines differ."""

from models.mllm.bench import first_token_by_turn, tokens_per_second
from tests.models.mllm.conftest import describe


def test_first_token_ours_and_the_librarys() -> None:
    times = first_token_by_turn(describe(), turns=(1, 2))
    assert times.keys() == {"ours", "stock"}
    for seconds in times.values():
        assert seconds.keys() == {"1", "2"}
        assert all(value > 0 for value in seconds.values())


def test_speed() -> None:
    speed = tokens_per_second(describe(mmproj=None), tokens=4)
    assert speed["read"] > 0 and speed["write"] >= 0
