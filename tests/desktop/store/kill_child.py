"""A process whose children use a library until they are killed; run by test_kill.py, once for all kills.

Reads lines "LIBRARY<TAB>SEED<TAB>SECONDS" from stdin. For each it forks a child that works on the library, kills it
(SIGKILL) after that time, and prints the JSON list of what the child had reported as done: each entry was written by
the child after the store's method had returned. Forking spares the imports. With an even seed the time counts from the
moment the library is open, otherwise from the fork, so that the opening itself is hit as well.
"""

import json
import os
import random
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from desktop.store.store import Store
from models.contracts import (
    AdapterStep,
    GenerationSpec,
    ImageRef,
    Painted,
    PromptTokens,
    Reply,
    TextSegment,
    Timings,
    TurnDone,
    TurnRequest,
)


class Worker:
    """Runs random turns for ever and reports each durable step."""

    def __init__(self, library: Path, seed: int, pipe: int) -> None:
        self.store, self.random, self.pipe, self.seed = Store.open(library), random.Random(seed), pipe, seed
        self.painted = library.parent / f"painted-{seed}.png"

    def run(self) -> None:
        self.report(what="open")
        for number in range(10**6):
            chance = self.random.random()
            if chance < 0.04:
                self.delete()
            elif chance < 0.12:
                self.upload(number)
            else:
                self.turn(f"{self.seed}-{number}")

    def report(self, **entry: Any) -> None:
        os.write(self.pipe, json.dumps(entry).encode() + b"\n")

    def session(self) -> str:
        sessions = self.store.sessions()
        if not sessions or self.random.random() < 0.1:
            session = self.store.create_session()
            self.report(what="session", id=session.id)
            return session.id
        return self.random.choice(sessions).id

    def turn(self, turn_id: str) -> None:
        session = self.session()
        turns = self.store.turns(session)
        parent = self.random.choice(turns).id if turns and self.random.random() < 0.9 else None
        images = self.inputs(session)
        self.store.begin_turn(session, parent, TurnRequest(turn_id, f"fox {turn_id}", images))
        self.report(what="turn", id=turn_id, session=session, parent=parent, state="pending")
        for slot in range(self.random.choice((0, 1, 1, 2))):
            self.picture(turn_id, session, slot)
        self.finish(turn_id, session, parent)

    def inputs(self, session: str) -> tuple[ImageRef, ...]:
        drawn = self.store.pictures(session, limit=1)
        return (drawn[0].ref(),) if drawn and self.random.random() < 0.3 else ()

    def picture(self, turn_id: str, session: str, slot: int) -> None:
        # Few different prompts, so that the same picture is also painted again.
        spec = GenerationSpec(f"fox {self.random.randrange(40)}", 7, 8, 8, 2, 1.0, "euler")
        Image.new("RGB", (8, 8), (len(spec.prompt), 20, 90)).save(self.painted)
        painted = Painted(str(self.painted), 8, 8, spec, 0.1)
        stored = self.store.add_picture(turn_id, slot, painted, (AdapterStep("a", "b", "c"),), PromptTokens((), (), 77))
        self.report(
            what="picture", sha256=stored.sha256, turn=turn_id, session=session, slot=slot, number=stored.number
        )

    def finish(self, turn_id: str, session: str, parent: str | None) -> None:
        if self.random.random() < 0.1:
            turn = self.store.fail_turn(turn_id, "It did not work.")
        else:
            say = f"Here is fox {turn_id}."
            finish = self.random.choice(("done", "done", "cancelled"))
            done = TurnDone(Reply(say, (TextSegment(say),)), 0.5, (), Timings(), "dialoggen", None, None, finish)
            turn = self.store.finish_turn(turn_id, done)
        self.report(what="turn", id=turn_id, session=session, parent=parent, state=turn.state)

    def upload(self, number: int) -> None:
        Image.new("RGB", (9, 9), (self.seed % 256, number % 256, 3)).save(self.painted)
        self.report(what="upload", sha256=self.store.import_picture(self.painted).sha256)

    def delete(self) -> None:
        sessions = self.store.sessions()
        if len(sessions) > 1:
            session = self.random.choice(sessions).id
            self.report(what="deleting", id=session)
            self.store.delete_session(session)
            self.report(what="deleted", id=session)


def kill_one(library: Path, seed: int, seconds: float) -> list[Any]:
    """Fork a worker, kill it after `seconds`, return what it had reported."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            Worker(library, seed, writer).run()
        finally:
            os._exit(1)  # only reached by an error: the parent sees the status
    os.close(writer)
    if seed % 2 == 0:
        select.select([reader], [], [], 60)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    with os.fdopen(reader) as pipe:
        entries = [json.loads(line) for line in pipe]
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"the worker ended by itself with status {status}")
    return entries


def requests() -> Iterator[tuple[Path, int, float]]:
    for line in sys.stdin:
        library, seed, seconds = line.rstrip("\n").split("\t")
        yield Path(library), int(seed), float(seconds)


if __name__ == "__main__":
    for request in requests():
        print(json.dumps(kill_one(*request)), flush=True)
