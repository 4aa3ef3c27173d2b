"""K1: a process that is killed at any moment loses nothing it had reported, and the library is whole afterwards.

LIMNER_KILLS sets the number of kills (200 unless told otherwise).
"""

import json
import os
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from desktop.store.records import TurnRecord
from desktop.store.store import Store
from models.contracts import StoreError

KILLS = int(os.environ.get("LIMNER_KILLS", "200"))
PER_LIBRARY = 25
LONGEST_S = 0.15
ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork; SIGKILL is a POSIX matter")


@dataclass
class Expected:
    """What children have reported about one library so far."""

    sessions: set[str] = field(default_factory=set)
    turns: dict[str, dict[str, Any]] = field(default_factory=dict)
    pictures: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    uploads: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)

    def learn(self, entry: dict[str, Any]) -> None:
        match entry["what"]:
            case "session":
                self.sessions.add(entry["id"])
            case "turn":
                self.turns[entry["id"]] = entry
            case "picture":
                self.pictures[entry["turn"], entry["slot"]] = entry
            case "upload":
                self.uploads.add(entry["sha256"])
            case "deleting":  # may or may not be carried out: nothing of it is promised any more
                self._forget(entry["id"])
            case "deleted":
                self.deleted.add(entry["id"])

    def _forget(self, session: str) -> None:
        self.sessions.discard(session)
        self.turns = {k: v for k, v in self.turns.items() if v["session"] != session}
        self.pictures = {k: v for k, v in self.pictures.items() if v["session"] != session}


@pytest.fixture
def nursery() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(Path(__file__).with_name("kill_child.py"))]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.mark.timeout(max(300, 2 * KILLS))
def test_nothing_is_lost_when_the_process_is_killed(nursery: subprocess.Popen[str], tmp_path: Path) -> None:
    moments, seen, expected = random.Random(), Counter[str](), Expected()
    longest, fruitful = LONGEST_S, 0
    for number in range(KILLS):
        if number % PER_LIBRARY == 0:
            library, expected = tmp_path / str(number), Expected()
        entries = kill(nursery, library, number, moments.uniform(0, longest))
        for entry in entries:
            expected.learn(entry)
            seen[entry["what"]] += 1
        fruitful += any(entry["what"] == "picture" for entry in entries)
        if number % 10 == 9:  # on a busy machine the children get further only with more time
            longest, fruitful = min(2 * longest, 4.0) if fruitful < 3 else longest, 0
        if number % 2 and (library / "limner.sqlite").exists():
            check_before_repair(library)
        with Store.open(library) as store:
            seen["interrupted"] += check(store, expected)
    print(f"{KILLS} kills: {dict(seen)}")
    assert min(seen["turn"], seen["picture"], seen["interrupted"]) > KILLS // 20, "the kills did not hit any work"


def kill(nursery: subprocess.Popen[str], library: Path, seed: int, seconds: float) -> list[dict[str, Any]]:
    """Let a child work for a random time on the library; what it reported before it was killed."""
    assert nursery.stdin is not None and nursery.stdout is not None
    nursery.stdin.write(f"{library}\t{seed}\t{seconds}\n")
    nursery.stdin.flush()
    answer = nursery.stdout.readline()
    assert answer, "the process that forks the children has died"
    return json.loads(answer)  # type: ignore[no-any-return]


def check_before_repair(library: Path) -> None:
    """Even as the kill left it, no picture's row is without its file."""
    with closing(sqlite3.connect(library / "limner.sqlite")) as connection:
        tables = connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'pictures'").fetchone()[0]
        rows = connection.execute("SELECT DISTINCT sha256 FROM pictures").fetchall() if tables else []
    assert [sha for (sha,) in rows if not (library / "pictures" / sha[:2] / f"{sha}.png").is_file()] == []


def check(store: Store, expected: Expected) -> int:
    """The library is whole and holds everything reported. Returns the number of turns that were interrupted."""
    assert store.problems == [] and store.verify() == []
    assert list(store.tmp.iterdir()) == [] and not (store.root / "orphans").exists()
    sessions = {session.id for session in store.sessions()}
    assert expected.sessions <= sessions and not expected.deleted & sessions
    turns = {turn.id: turn for session in sessions for turn in store.turns(session)}
    check_turns(turns, expected)
    check_pictures(store, turns, expected)
    return check_interrupted(store, turns)


def check_turns(turns: dict[str, TurnRecord], expected: Expected) -> None:
    for turn_id, reported in expected.turns.items():
        turn = turns[turn_id]
        assert (turn.text, turn.parent_id) == (f"fox {turn_id}", reported["parent"])
        # A step that was not reported any more may have been done all the same, but a reported one is never undone.
        assert turn.state == reported["state"] or (reported["state"] == "pending" and turn.state != "pending")
        if turn.state in ("done", "cancelled"):
            assert turn.reply is not None and turn.reply.raw == f"Here is fox {turn_id}."


def check_pictures(store: Store, turns: dict[str, TurnRecord], expected: Expected) -> None:
    known = {(p.turn_id, p.slot): p for turn in turns.values() for p in turn.pictures}
    for place, reported in expected.pictures.items():
        assert (known[place].sha256, known[place].number) == (reported["sha256"], reported["number"])
    used = {image.sha256 for turn in turns.values() for image in turn.images}
    files = {path.stem for path in store.root.glob("pictures/*/*.png")}
    assert {picture.sha256 for picture in known.values()} <= files
    assert files <= {picture.sha256 for picture in known.values()} | used
    assert expected.uploads <= {path.stem for path in store.root.glob("uploads/*/*.png")}


def check_interrupted(store: Store, turns: dict[str, TurnRecord]) -> int:
    """At most one turn was running; it is offered again, and none is left pending."""
    found = store.interrupted()
    assert len(found) <= 1 and all(turn.state == "interrupted" for turn in found)
    assert all(turn.state != "pending" for turn in turns.values())
    return len(found)


def test_a_killed_process_leaves_no_lock(nursery: subprocess.Popen[str], tmp_path: Path) -> None:
    assert kill(nursery, tmp_path / "library", 0, 0.1)[0] == {"what": "open"}
    with Store.open(tmp_path / "library"), pytest.raises(StoreError, match="Another Limner"):
        Store.open(tmp_path / "library")
