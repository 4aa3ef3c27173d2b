"""What is put right when a library is opened, and what `verify` looks at. Deletes nothing but leftovers in tmp/.

After a kill or a power cut the database itself is whole (SQLite's log). What can be left over: half-written files in
tmp/, a picture that was moved into place and has no row yet, a file whose deletion was not finished, turns that were
still running. Files that the artist removed by hand are noticed here, too.
"""

import shutil
import sqlite3
import struct
import time
from collections.abc import Callable
from pathlib import Path

from . import png, search
from .database import Database
from .rows import Arrival, arrivals, insert_picture
from .tree import Tree, is_whole, sync_folder

Progress = Callable[[int, int], None]
"""(files checked, files in all)"""


def repair(database: Database, tree: Tree) -> tuple[list[str], list[str]]:
    """Put the library right. Returns the ids of turns found pending (now interrupted) and problems in sentences."""
    _empty(tree.tmp)
    _finish_discarding(database, tree)
    _take_in_arrivals(database, tree)
    interrupted = _interrupt_pending(database)
    problems = _match_pictures(database, tree) + _match_uploads(database, tree)
    return interrupted, problems


def verify(database: Database, tree: Tree, on_progress: Progress) -> list[str]:
    """Check the database and the content of every file against its name. Returns problems in sentences."""
    with database.read() as connection:
        problems = _database_problems(connection)
        known = [(tree.picture(row[0]), row[0]) for row in connection.execute("SELECT DISTINCT sha256 FROM pictures")]
        known += [(tree.upload(row[0]), row[0]) for row in connection.execute("SELECT sha256 FROM uploads")]
    for done, (path, sha256) in enumerate(known):
        on_progress(done, len(known))
        if not path.is_file():
            problems.append(_gone(path))
        elif not is_whole(path, sha256):
            problems.append(f"The picture {path} is not what was stored: its content has changed on the disk.")
    on_progress(len(known), len(known))
    return problems


def remove_discarded(database: Database, tree: Tree, paths: list[str]) -> list[str]:
    """Remove files that were noted as deleted, unless something stands on them again; returns those that are done.

    The notes themselves stay until the next start: a power cut may bring a removed file back, and a viewer that has it
    open on Windows may keep it. Other threads get their turn between two files.
    """
    done = []
    for path in paths:
        with database.read() as connection:
            if _is_needed(connection, path) or _remove(tree.root / path):
                done.append(path)
    return done


def _finish_discarding(database: Database, tree: Tree) -> None:
    with database.read() as connection:
        noted = [row[0] for row in connection.execute("SELECT path FROM discarded")]
    done = remove_discarded(database, tree, noted)
    if done:
        with database.write() as connection:
            connection.executemany("DELETE FROM discarded WHERE path = ?", [(path,) for path in done])


def _is_needed(connection: sqlite3.Connection, path: str) -> bool:
    sha256 = Path(path).stem
    return connection.execute(
        "SELECT EXISTS (SELECT 1 FROM pictures WHERE sha256 = :sha) OR EXISTS (SELECT 1 FROM uses WHERE sha256 = :sha)"
        " OR EXISTS (SELECT 1 FROM uploads WHERE sha256 = :sha AND :path LIKE 'uploads/%')",
        {"sha": sha256, "path": path},
    ).fetchone()[0]


def _remove(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _take_in_arrivals(database: Database, tree: Tree) -> None:
    """Pictures moved into place whose row was not written: the turn is known, so they get it now."""
    with database.read() as connection:
        waiting = arrivals(connection, tree)
    if not waiting:
        return
    whole = [arrival for arrival in waiting if is_whole(tree.picture(arrival.sha256), arrival.sha256)]
    with database.write() as connection:
        for arrival in whole:
            add_picture_row(connection, arrival, tree)
        connection.execute("DELETE FROM arrivals")


def add_picture_row(connection: sqlite3.Connection, arrival: Arrival, tree: Tree) -> None:
    """A picture whose file is in place: its row, its prompt for the search, its session brought up to date."""
    insert_picture(connection, arrival, tree)
    search.add_prompt(connection, arrival.turn_id, arrival.spec.prompt)
    connection.execute(
        "UPDATE sessions SET updated = ? WHERE id = (SELECT session_id FROM turns WHERE id = ?)",
        (arrival.created, arrival.turn_id),
    )


def _interrupt_pending(database: Database) -> list[str]:
    with database.read() as connection:
        pending = [row[0] for row in connection.execute("SELECT id FROM turns WHERE state = 'pending' ORDER BY seq")]
    if pending:
        with database.write() as connection:
            connection.execute("UPDATE turns SET state = 'interrupted' WHERE state = 'pending'")
    return pending


def _match_pictures(database: Database, tree: Tree) -> list[str]:
    """Files without a row go to orphans/, rows without a file are marked (and found again when the file is back)."""
    present = set(tree.hashes(tree.pictures))
    with database.read() as connection:
        rows = dict(connection.execute("SELECT sha256, MAX(missing) FROM pictures GROUP BY sha256").fetchall())
        used = {row[0] for row in connection.execute("SELECT sha256 FROM uses")} if present - rows.keys() else set()
    problems = [_orphan(tree, sha256) for sha256 in sorted(present - rows.keys() - used)]
    gone = {sha256 for sha256 in rows.keys() - present if not _bring_back(tree, sha256)}
    changed = [(sha256 in gone, sha256) for sha256, missing in rows.items() if bool(missing) != (sha256 in gone)]
    if changed:
        with database.write() as connection:
            connection.executemany("UPDATE pictures SET missing = ? WHERE sha256 = ?", changed)
    return problems + [_gone(tree.picture(sha256)) for sha256 in sorted(gone)]


def _orphan(tree: Tree, sha256: str) -> str:
    place = tree.set_aside(tree.picture(sha256))
    return f"A picture that belongs to no conversation was moved to {place}."


def _bring_back(tree: Tree, sha256: str) -> bool:
    """A picture set aside earlier whose row is known again (an older or newer database was put back)."""
    aside, target = tree.orphans / f"{sha256}.png", tree.picture(sha256)
    if not is_whole(aside, sha256):
        return False
    target.parent.mkdir(exist_ok=True)
    aside.replace(target)
    sync_folder(target.parent)
    return True


def _match_uploads(database: Database, tree: Tree) -> list[str]:
    """A file without a row is taken in (its name is its content); a row without a file is reported."""
    present = set(tree.hashes(tree.uploads))
    with database.read() as connection:
        rows = {row[0] for row in connection.execute("SELECT sha256 FROM uploads")}
    new = [tree.upload(sha256) for sha256 in sorted(present - rows)]
    if new:
        with database.write() as connection:
            for path in new:
                _take_in_upload(connection, tree, path)
    return [_gone(tree.upload(sha256)) for sha256 in sorted(rows - present)]


def _take_in_upload(connection: sqlite3.Connection, tree: Tree, path: Path) -> None:
    if not is_whole(path, path.stem):
        tree.set_aside(path)
        return
    try:
        width, height = png.size_of(path.read_bytes()[:64])
    except (ValueError, struct.error):
        tree.set_aside(path)
        return
    add_upload_row(connection, path.stem, width, height)


def add_upload_row(connection: sqlite3.Connection, sha256: str, width: int, height: int) -> None:
    """Remember an upload whose file is in place."""
    connection.execute(
        "INSERT OR IGNORE INTO uploads(sha256, width, height, created) VALUES (?, ?, ?, ?)",
        (sha256, width, height, time.time()),
    )


def _database_problems(connection: sqlite3.Connection) -> list[str]:
    problems = [
        f"The database reports: {row[0]}." for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"
    ]
    broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    return problems + [f"A row of {row[0]} points to nothing in {row[2]}." for row in broken]


def _gone(path: Path) -> str:
    return f"The picture {path} is missing: put it back from a backup, or paint it again from its recipe."
