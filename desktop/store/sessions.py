"""Rows of conversations: reading, changing, deleting with all that hangs on them. Runs no transactions."""

import sqlite3
from typing import Any

from models.contracts import StoreError

from . import search
from .records import SessionRecord
from .tree import Tree

SESSIONS = """
    SELECT s.*,
        (SELECT COUNT(*) FROM turns t WHERE t.session_id = s.id) AS turns,
        (SELECT COUNT(*) FROM pictures p WHERE p.session_id = s.id AND p.missing = 0) AS pictures,
        (SELECT sha256 FROM pictures p WHERE p.session_id = s.id AND p.missing = 0
            ORDER BY number DESC LIMIT 1) AS cover
    FROM sessions s"""


def session_record(row: sqlite3.Row, tree: Tree) -> SessionRecord:
    """From a row of SESSIONS."""
    cover = row["cover"] and str(tree.picture(row["cover"]))
    names = ("id", "title", "created", "updated", "head", "seed", "turns", "pictures")
    return SessionRecord(**{name: row[name] for name in names}, seed_locked=bool(row["seed_locked"]), cover=cover)


def update(connection: sqlite3.Connection, session_id: str, columns: dict[str, Any]) -> None:
    """Change columns of a session. Raises StoreError if there is none."""
    changes = ", ".join(f"{name} = :{name}" for name in columns)
    values = {**columns, "session_id": session_id}
    changed = connection.execute(f"UPDATE sessions SET {changes} WHERE id = :session_id", values)
    if not changed.rowcount:
        raise StoreError(f"There is no conversation {session_id} in this library.")


def touch(connection: sqlite3.Connection, turn_id: str, now: float) -> None:
    """The session of this turn has changed."""
    connection.execute(
        "UPDATE sessions SET updated = ? WHERE id = (SELECT session_id FROM turns WHERE id = ?)", (now, turn_id)
    )


def delete(connection: sqlite3.Connection, session_id: str, tree: Tree) -> list[str]:
    """Rows go now; files are noted, to be removed after the commit, so that a crash in between loses track of none.

    Returns the noted files, relative to the root; some of them may still be needed or never have been there.
    """
    of_session = "(SELECT id FROM turns WHERE session_id = ?)"
    hashes = "SELECT sha256 FROM {} WHERE turn_id IN " + of_session
    drawn, used = (
        [row[0] for row in connection.execute(hashes.format(table), (session_id,))] for table in ("pictures", "uses")
    )
    search.remove_session(connection, session_id)
    for table in ("arrivals", "uses", "pictures"):
        connection.execute(f"DELETE FROM {table} WHERE turn_id IN {of_session}", (session_id,))
    connection.execute("DELETE FROM turns WHERE session_id = ?", (session_id,))
    connection.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
    still_used = "EXISTS (SELECT 1 FROM uses WHERE sha256 = ?)"
    connection.executemany(f"DELETE FROM uploads WHERE sha256 = ? AND NOT {still_used}", [(sha, sha) for sha in used])
    files = [tree.picture(sha) for sha in (*drawn, *used)] + [tree.upload(sha) for sha in used]
    noted = [path.relative_to(tree.root).as_posix() for path in files]
    connection.executemany("INSERT OR IGNORE INTO discarded(path) VALUES (?)", [(path,) for path in noted])
    return noted
