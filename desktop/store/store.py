"""The library: conversations, turns and pictures on disk. The only door to desktop/store for the rest of the desktop.

Every method is one durable step: when it returns, what it did survives a kill or a power cut; when it raises, nothing
of it is there. Safe to call from several threads. Knows no Qt, no models and no worker; raises StoreError (one
sentence) for a folder that is full, read-only, locked, damaged or newer, and for ids that are not in it.
"""

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from models.contracts import (
    SEED_MAX,
    AdapterStep,
    BadInputError,
    ImageRef,
    ModelRef,
    Painted,
    PastTurn,
    PromptTokens,
    StoreError,
    TurnDone,
    TurnRequest,
)

from . import pictures, png, recipe, repair, rows, search, sessions
from .database import Database
from .errors import known_errors
from .lock import FolderLock
from .records import PictureRecord, SearchHit, SessionRecord, TurnRecord
from .tree import Tree

VERDICTS = ("liked", "should_be_text", "should_be_image")


class _Keep(Enum):
    """A parameter that was not given, where None means something."""

    KEEP = "keep"


_KEEP = _Keep.KEEP

_BRANCH = """
    WITH RECURSIVE up(id, parent_id) AS (
        SELECT id, parent_id FROM turns WHERE id = ?
        UNION ALL SELECT t.id, t.parent_id FROM turns t JOIN up ON t.id = up.parent_id
    ) SELECT t.* FROM turns t JOIN up ON t.id = up.id ORDER BY t.seq"""


class Store:
    """An open library. Use as a context manager, or call `close`."""

    def __init__(self, tree: Tree, lock: FolderLock, database: Database) -> None:
        self._tree, self._lock, self._database = tree, lock, database
        self._interrupted, self.problems = repair.repair(database, tree)
        """`problems`: what was found wrong when the library was opened, in sentences."""

    # ---------------------------------------------------------------- opening
    @classmethod
    def open(cls, root: Path) -> Self:
        """Open or create the library in `root`, bring it to this version and repair what a crash left behind.

        Raises StoreError if another Limner uses it, it is of a newer version, damaged, full or not writable.
        """
        tree = Tree(root.expanduser().resolve())
        with known_errors(tree.root):
            tree.root.mkdir(parents=True, exist_ok=True)
            lock = FolderLock(tree.lock)
            try:
                return cls._open_locked(tree, lock)
            except BaseException:
                lock.release()
                raise

    @classmethod
    def _open_locked(cls, tree: Tree, lock: FolderLock) -> Self:
        tree.make()
        database = Database(tree)
        try:
            return cls(tree, lock, database)
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Let go of the library. Safe to call twice."""
        self._database.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def root(self) -> Path:
        """The library's folder, absolute."""
        return self._tree.root

    @property
    def tmp(self) -> Path:
        """A folder on the library's own disk for files in the making; emptied whenever the library is opened."""
        return self._tree.tmp

    # ---------------------------------------------------------------- sessions
    def create_session(self, title: str = "", seed: int = 0, seed_locked: bool = True) -> SessionRecord:
        """Begin a conversation. Raises BadInputError for a seed outside 0..SEED_MAX."""
        _check_seed(seed)
        session_id, now = secrets.token_hex(8), time.time()
        values = (session_id, rows.plain(title), now, now, seed, seed_locked)
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO sessions(id, title, created, updated, seed, seed_locked) VALUES (?, ?, ?, ?, ?, ?)", values
            )
        return self.session(session_id)

    def sessions(self) -> list[SessionRecord]:
        """All conversations, the one that changed last first."""
        with self._database.read() as connection:
            found = connection.execute(f"{sessions.SESSIONS} ORDER BY s.updated DESC, s.created DESC").fetchall()
        return [sessions.session_record(row, self._tree) for row in found]

    def session(self, session_id: str) -> SessionRecord:
        """One conversation."""
        row = self._one(f"{sessions.SESSIONS} WHERE s.id = ?", session_id)
        return sessions.session_record(_found(row, "conversation", session_id), self._tree)

    def update_session(
        self,
        session_id: str,
        *,
        title: str | None = None,
        head: str | _Keep | None = _KEEP,
        seed: int | None = None,
        seed_locked: bool | None = None,
    ) -> SessionRecord:
        """Change what is given. `head` None stands before the first turn."""
        _check_seed(seed or 0)
        if isinstance(head, str):
            self._check_turn(head, session_id)
        given: dict[str, Any] = {"title": title and rows.plain(title), "seed": seed, "seed_locked": seed_locked}
        changes = {name: value for name, value in given.items() if value is not None}
        if head is not _KEEP:
            changes["head"] = head
        if changes:
            with self._database.write() as connection:
                sessions.update(connection, session_id, changes)
        return self.session(session_id)

    def delete_session(self, session_id: str) -> None:
        """Delete a conversation for good, with those of its pictures that no other conversation stands on."""
        self.session(session_id)
        with self._database.write() as connection:
            noted = sessions.delete(connection, session_id, self._tree)
        repair.remove_discarded(self._database, self._tree, noted)

    # ---------------------------------------------------------------- turns
    def begin_turn(self, session_id: str, parent_id: str | None, request: TurnRequest) -> TurnRecord:
        """Store a turn as pending, before any model runs; the session's head moves to it.

        A parent that already has children makes a branch. `request.images` come from `import_picture` or are drawn
        pictures of this library (ValueError otherwise). Raises BadInputError for a seed outside 0..SEED_MAX.
        """
        _check_seed(request.seed)
        self._check_place(session_id, parent_id, request)
        now = time.time()
        with self._database.write() as connection:
            seq = rows.insert_turn(connection, session_id, parent_id, request, self._tree, now)
            search.add_asked(connection, seq, request.text)
            sessions.update(connection, session_id, {"head": request.turn_id, "updated": now})
        return self.turn(request.turn_id)

    def finish_turn(self, turn_id: str, done: TurnDone, *, error: str | None = None) -> TurnRecord:
        """Store how a pending turn ended: "done" or "cancelled" as `done` says, "failed" with an `error` sentence."""
        now = time.time()
        with self._database.write() as connection:
            changed = rows.finish_turn(connection, turn_id, done, error, now).rowcount
            self._check_pending(turn_id, changed)
            search.add_answer(connection, turn_id, done.reply.say)
            sessions.touch(connection, turn_id, now)
        return self.turn(turn_id)

    def fail_turn(self, turn_id: str, error: str) -> TurnRecord:
        """Store that a pending turn ended without an answer, and why, in a sentence."""
        now = time.time()
        columns = {"state": "failed", "error": rows.plain(error), "finished": now}
        with self._database.write() as connection:
            self._check_pending(turn_id, rows.update_pending(connection, turn_id, columns).rowcount)
            sessions.touch(connection, turn_id, now)
        return self.turn(turn_id)

    def turn(self, turn_id: str) -> TurnRecord:
        """One turn with its pictures."""
        row = _found(self._one("SELECT * FROM turns WHERE id = ?", turn_id), "turn", turn_id)
        return self._turn_records([row])[0]

    def branch(self, head_id: str | None) -> list[TurnRecord]:
        """The turns from the root to `head_id`, in order; empty for None."""
        return self._turns(_BRANCH, head_id) if head_id is not None else []

    def children(self, turn_id: str | None, session_id: str) -> list[TurnRecord]:
        """The turns that continue `turn_id` (None: the session's first turns), oldest first."""
        query = "SELECT * FROM turns WHERE session_id = ? AND parent_id IS ? ORDER BY seq"
        return self._turns(query, session_id, turn_id)

    def turns(self, session_id: str) -> list[TurnRecord]:
        """Every turn of the session's tree, oldest first; a parent always before its children."""
        return self._turns("SELECT * FROM turns WHERE session_id = ? ORDER BY seq", session_id)

    def interrupted(self) -> list[TurnRecord]:
        """Turns that were still running when Limner ended last time, for the artist to repeat."""
        known = ((turn_id, self._one("SELECT * FROM turns WHERE id = ?", turn_id)) for turn_id in self._interrupted)
        return self._turn_records([row for _, row in known if row is not None])

    def past(self, head_id: str | None) -> tuple[PastTurn, ...]:
        """The branch as a model may see it: answered turns only, with the pictures whose files are there."""
        return tuple(_past_turn(turn) for turn in self.branch(head_id) if turn.reply is not None and turn.reply.raw)

    def set_verdict(self, turn_id: str, verdict: str | None) -> TurnRecord:
        """Store what the artist thought of a turn: one of VERDICTS, or None."""
        if verdict is not None and verdict not in VERDICTS:
            raise ValueError(f"unknown verdict {verdict!r}")
        with self._database.write() as connection:
            connection.execute("UPDATE turns SET verdict = ? WHERE id = ?", (verdict, turn_id))
        return self.turn(turn_id)

    # ---------------------------------------------------------------- pictures
    def import_picture(self, path: Path, session_id: str | None = None) -> ImageRef:
        """Take a picture in: checked, upright, plain PNG, named by its content.

        One of ours is only looked up, and keeps its number if it was drawn in `session_id`. Raises BadInputError if it
        is no picture, broken or too large.
        """
        ours = self._drawn(path, session_id)
        if ours is not None:
            return ours
        plain = pictures.normalise(path)
        sha256 = hashlib.sha256(plain.data).hexdigest()
        target = self._tree.upload(sha256)
        with self._database.held():
            self._tree.settle(self._tree.write_temp(plain.data), target, sha256)
            with self._database.write() as connection:
                repair.add_upload_row(connection, sha256, plain.width, plain.height)
        return ImageRef(str(target), sha256, plain.width, plain.height)

    def add_picture(
        self,
        turn_id: str,
        slot: int,
        painted: Painted,
        steps: Sequence[AdapterStep],
        tokens: PromptTokens,
        *,
        mllm: ModelRef | None = None,
    ) -> PictureRecord:
        """Take a painted picture in, with its recipe inside. The same picture twice is one file and two records.

        Order: temporary file, fsync, announcement, `os.replace`, fsync of the folder, row. Cut off before the move,
        nothing is there but a leftover; after it, the next start finishes the work. `painted.path` is removed if it
        lies in `tmp`, and otherwise left to its owner. Raises StoreError if the painted file is not whole.
        """
        data = _read_painted(painted)
        data = recipe.embed(data, recipe.Recipe(painted.spec, tuple(steps), mllm))
        arrival = _arrival(turn_id, slot, painted, tuple(steps), tokens, data)
        with self._database.held():
            temp = self._tree.write_temp(data)
            try:
                self._store_picture(arrival, temp)
            finally:
                temp.unlink(missing_ok=True)
        if Path(painted.path).is_relative_to(self.tmp):
            with suppress(OSError):  # the picture is safe; a leftover in tmp/ goes at the next start
                Path(painted.path).unlink()
        return self._picture_in(turn_id, slot)

    def pictures(self, session_id: str, limit: int | None = None) -> list[PictureRecord]:
        """The session's pictures in order of number; with `limit` only the newest ones."""
        found = self._pictures(
            "SELECT * FROM pictures WHERE session_id = ? AND missing = 0 ORDER BY number DESC LIMIT ?",
            session_id, -1 if limit is None else limit,
        )  # fmt: skip
        return found[::-1]

    def picture(self, sha256: str) -> PictureRecord:
        """The picture with this content; painted more than once, the newest record of it."""
        query = "SELECT * FROM pictures WHERE sha256 = ? AND missing = 0 ORDER BY id DESC LIMIT 1"
        found = self._pictures(query, sha256)
        if not found:
            raise StoreError(f"There is no picture {sha256} in this library.")
        return found[0]

    def star(self, sha256: str, on: bool) -> PictureRecord:
        """Give a picture a star, or take it away."""
        with self._database.write() as connection:
            connection.execute("UPDATE pictures SET starred = ? WHERE sha256 = ?", (on, sha256))
        return self.picture(sha256)

    def replay_specs(self, session_id: str) -> list[PictureRecord]:
        """Everything the session painted, in order, missing files included: what is needed to paint it all again."""
        self.session(session_id)
        return self._pictures("SELECT * FROM pictures WHERE session_id = ? ORDER BY number", session_id)

    # ---------------------------------------------------------------- the whole library
    def search(self, text: str, limit: int = 200) -> list[SearchHit]:
        """Turns whose words, prompts or answer contain every word of `text`, newest first. Case does not matter."""
        with self._database.read() as connection:
            return search.find(connection, text, limit)

    def verify(self, on_progress: repair.Progress = lambda done, total: None) -> list[str]:
        """Read everything again and compare it with its hash. Returns problems in sentences; none if all is well.

        `on_progress` is called before each file; what it raises (Cancelled) ends the check.
        """
        with known_errors(self.root):
            return repair.verify(self._database, self._tree, on_progress)

    # ---------------------------------------------------------------- inside
    def _check_place(self, session_id: str, parent_id: str | None, request: TurnRequest) -> None:
        _found(self._one("SELECT 1 FROM sessions WHERE id = ?", session_id), "conversation", session_id)
        if parent_id is not None:
            self._check_turn(parent_id, session_id)
        for image in request.images:
            if not Path(image.path).is_relative_to(self.root):
                raise ValueError(f"{image.path} is not in the library: import_picture comes first")

    def _check_turn(self, turn_id: str, session_id: str | None = None) -> None:
        row = _found(self._one("SELECT session_id FROM turns WHERE id = ?", turn_id), "turn", turn_id)
        if session_id is not None and row["session_id"] != session_id:
            raise StoreError(f"The turn {turn_id} belongs to another conversation.")

    def _check_pending(self, turn_id: str, changed: int) -> None:
        if not changed:
            self._check_turn(turn_id)
            raise ValueError(f"turn {turn_id} is not pending")

    def _store_picture(self, arrival: rows.Arrival, temp: Path) -> None:
        self._check_turn(arrival.turn_id)
        if self._is_stored(arrival, temp):
            return
        with self._database.write() as connection:
            rows.insert_arrival(connection, arrival, self._tree)
        self._tree.settle(temp, self._tree.picture(arrival.sha256), arrival.sha256)
        with self._database.write() as connection:
            repair.add_picture_row(connection, arrival, self._tree)

    def _is_stored(self, arrival: rows.Arrival, temp: Path) -> bool:
        """Whether exactly this was added before: a second try, which also puts back a file that went missing.

        Raises ValueError if the slot has another picture.
        """
        row = self._one("SELECT sha256 FROM pictures WHERE turn_id = ? AND slot = ?", arrival.turn_id, arrival.slot)
        if row is None:
            return False
        if row["sha256"] != arrival.sha256:
            raise ValueError(f"slot {arrival.slot} of turn {arrival.turn_id} already has a picture")
        self._tree.settle(temp, self._tree.picture(arrival.sha256), arrival.sha256)
        with self._database.write() as connection:
            connection.execute("UPDATE pictures SET missing = 0 WHERE sha256 = ?", (arrival.sha256,))
        return True

    def _picture_in(self, turn_id: str, slot: int) -> PictureRecord:
        return self._pictures("SELECT * FROM pictures WHERE turn_id = ? AND slot = ?", turn_id, slot)[0]

    def _drawn(self, path: Path, session_id: str | None) -> ImageRef | None:
        path = path.expanduser().absolute()
        if path != self._tree.picture(path.stem):
            return None
        found = self._pictures(
            "SELECT * FROM pictures WHERE sha256 = ? AND missing = 0 ORDER BY session_id = ? DESC, id DESC LIMIT 1",
            path.stem, session_id or "",
        )  # fmt: skip
        if not found:
            return None
        ref = found[0].ref()
        same = found[0].session_id == session_id
        return ref if same else ImageRef(ref.path, ref.sha256, ref.width, ref.height, source="drawn")

    def _one(self, query: str, *values: Any) -> sqlite3.Row | None:
        with self._database.read() as connection:
            row: sqlite3.Row | None = connection.execute(query, values).fetchone()
        return row

    def _turns(self, query: str, *values: Any) -> list[TurnRecord]:
        with self._database.read() as connection:
            return self._turn_records(connection.execute(query, values).fetchall())

    def _turn_records(self, found: Sequence[sqlite3.Row]) -> list[TurnRecord]:
        by_turn: dict[str, list[PictureRecord]] = {}
        for picture in self._pictures_of([row["id"] for row in found]):
            by_turn.setdefault(picture.turn_id, []).append(picture)
        return [rows.turn_record(row, by_turn.get(row["id"], ()), self._tree) for row in found]

    def _pictures_of(self, turn_ids: Sequence[str]) -> Iterable[PictureRecord]:
        for start in range(0, len(turn_ids), 500):
            some = turn_ids[start : start + 500]
            places = ", ".join("?" * len(some))
            yield from self._pictures(
                f"SELECT * FROM pictures WHERE turn_id IN ({places}) AND missing = 0 ORDER BY slot", *some
            )

    def _pictures(self, query: str, *values: Any) -> list[PictureRecord]:
        with self._database.read() as connection:
            found = connection.execute(query, values).fetchall()
        return [rows.picture_record(row, self._tree) for row in found]


def _check_seed(seed: int) -> None:
    if not 0 <= seed <= SEED_MAX:
        raise BadInputError(f"The seed {seed} is out of range: choose a whole number from 0 to {SEED_MAX}.")


def _found(row: sqlite3.Row | None, what: str, name: str) -> sqlite3.Row:
    if row is None:
        raise StoreError(f"There is no {what} {name} in this library.")
    return row


def _read_painted(painted: Painted) -> bytes:
    try:
        data = Path(painted.path).read_bytes()
        png.check(data)
    except (OSError, ValueError) as error:
        raise StoreError("The painted picture could not be read back from the disk: paint it again.") from error
    return data


def _arrival(
    turn_id: str, slot: int, painted: Painted, steps: tuple[AdapterStep, ...], tokens: PromptTokens, data: bytes
) -> rows.Arrival:
    width, height = png.size_of(data)
    return rows.Arrival(
        turn_id=turn_id, slot=slot, sha256=hashlib.sha256(data).hexdigest(), width=width, height=height,
        created=time.time(), seconds=painted.seconds, spec=painted.spec, steps=steps, tokens=tokens,
    )  # fmt: skip


def _past_turn(turn: TurnRecord) -> PastTurn:
    return PastTurn(
        turn_id=turn.id,
        text=turn.text,
        images=tuple(image for image in turn.images if Path(image.path).is_file()),
        raw_output=turn.reply.raw if turn.reply else "",
        drawn=tuple(picture.ref() for picture in turn.pictures),
        prompts=tuple(picture.spec.prompt for picture in turn.pictures),
        seed=turn.seed,
    )
