"""How long the store takes to make a turn durable. For `limner bench`; measures, judges nothing."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from models.contracts import Reply, TextSegment, Timings, TurnDone, TurnRequest

from .store import Store


def commit_latency(folder: Path, n: int = 200) -> dict[str, float]:
    """Median and 99th percentile of one durable commit, in milliseconds, over `n` turns in a new library in `folder`.

    A turn has two commits, begin_turn and finish_turn; each counts as one. The library is removed afterwards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temp, Store.open(Path(temp)) as store:
        session, parent, times = store.create_session(), None, []
        for number in range(n):
            turn_id = f"turn-{number}"
            request = TurnRequest(turn_id, "Draw a red fox in the snow, please, and make it look at us.")
            times.append(_ms(lambda r=request, p=parent: store.begin_turn(session.id, p, r)))  # type: ignore[misc]
            times.append(_ms(lambda t=turn_id: store.finish_turn(t, _done())))  # type: ignore[misc]
            parent = turn_id
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {"p50": cuts[49], "p99": cuts[98]}


def _ms(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def _done() -> TurnDone:
    say = "A fox eats mice, voles, berries and what it finds."
    reply = Reply(say, (TextSegment(say),))
    return TurnDone(reply, 0.02, (), Timings(0.1, 0.8, 0.0, 0.8), "dialoggen", None, None)
