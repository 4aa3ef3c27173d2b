"""The hand-over between a callback-style pipeline and a generator: strictly in turns, nothing left running."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from models.contracts import Cancelled
from models.t2i.handover import hand_over


def counting(log: list[str]) -> Callable[[Callable[[Any], None]], str]:
    def work(report: Callable[[Any], None]) -> str:
        for i in range(3):
            log.append(f"made {i}")
            report(i)
        return "done"

    return work


def test_pieces_come_in_turns_and_the_result_is_returned() -> None:
    log: list[str] = []
    events = hand_over(counting(log), lambda: False)
    result = None
    while True:
        try:
            log.append(f"got {next(events)}")
        except StopIteration as stop:
            result = stop.value
            break
    assert result == "done"
    assert log == ["made 0", "got 0", "made 1", "got 1", "made 2", "got 2"]


def test_cancel_is_raised_where_the_work_reports() -> None:
    log: list[str] = []
    with pytest.raises(Cancelled):
        for piece in hand_over(counting(log), lambda: len(log) == 2):
            log.append(f"got {piece}")
    assert log == ["made 0", "got 0"]


def test_cancel_is_asked_in_the_owner_s_thread() -> None:
    threads: list[threading.Thread] = []
    list(hand_over(counting([]), lambda: threads.append(threading.current_thread())))  # type: ignore[func-returns-value, arg-type]
    assert set(threads) == {threading.current_thread()}


def test_closing_ends_the_work() -> None:
    log: list[str] = []
    events = hand_over(counting(log), lambda: False)
    next(events)
    events.close()
    assert log == ["made 0"] and all(t.name != "pipeline" for t in threading.enumerate())


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt()])
def test_errors_of_the_work_come_out(error: BaseException) -> None:
    def work(_: object) -> None:
        raise error

    with pytest.raises(type(error)):
        list(hand_over(work, lambda: False))
