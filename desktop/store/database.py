"""One SQLite connection for all threads: opening, checking whose file it is, migrating with a backup, transactions.

Knows no tables of ours beyond the list of migrations.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from models.contracts import StoreError

from .errors import damaged, known_errors
from .schema import APPLICATION_ID, MIGRATIONS
from .tree import Tree, sync_folder

BUSY_TIMEOUT_S = 5.0
_TRIGRAMS_SINCE = (3, 34, 0)
_HEADER = b"SQLite format 3\0"


class Database:
    """The connection and its lock. All methods translate faults of the environment into StoreError."""

    def __init__(self, tree: Tree, migrations: Sequence[tuple[str, ...]] = MIGRATIONS) -> None:
        self._root = tree.root
        self._lock = threading.RLock()
        with known_errors(self._root):
            self._connection = _open(tree, migrations)

    def close(self) -> None:
        """Write the log back into the database file and let go of it."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the other threads out for several steps (a file and its row)."""
        with self._lock, known_errors(self._root):
            yield

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction: all of the block or nothing of it. Not to be nested."""
        with self._lock, known_errors(self._root):
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """The connection, for queries whose rows are fetched inside the block."""
        with self._lock, known_errors(self._root):
            yield self._connection


def _open(tree: Tree, migrations: Sequence[tuple[str, ...]]) -> sqlite3.Connection:
    if sqlite3.sqlite_version_info < _TRIGRAMS_SINCE:
        raise StoreError(
            f"This Python has SQLite {sqlite3.sqlite_version} and Limner needs 3.34 or newer: update Python."
        )
    _check_header(tree)
    connection = sqlite3.connect(tree.database, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        version = _version_of_ours(connection, tree, len(migrations))
        _configure(connection)
        _migrate(connection, tree, version, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_header(tree: Tree) -> None:
    """Refuse a file that is no database before SQLite touches it. An empty one is a creation that was cut short."""
    if not tree.database.exists():
        return
    with tree.database.open("rb") as file:
        header = file.read(len(_HEADER))
    if header and header != _HEADER:
        raise damaged(tree.root)


def _version_of_ours(connection: sqlite3.Connection, tree: Tree, newest: int) -> int:
    """The schema version, before anything is changed. Raises StoreError for a newer one or another program's file."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION_ID and (application or tables):
        raise StoreError(f"{tree.database} belongs to another program: choose another folder for the library.")
    if version > newest:
        raise StoreError(
            f"The library {tree.root} was written by a newer Limner (format {version}, this one knows {newest}): "
            "update Limner, or choose another folder."
        )
    return version


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: through the drive's cache; without effect elsewhere
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    connection.execute("PRAGMA foreign_keys = ON")


def _migrate(connection: sqlite3.Connection, tree: Tree, version: int, migrations: Sequence[tuple[str, ...]]) -> None:
    if 0 < version < len(migrations):
        _back_up(connection, tree, version)
    for number in range(version, len(migrations)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in migrations[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _back_up(connection: sqlite3.Connection, tree: Tree, version: int) -> Path:
    """A whole copy of the database in `backups/`, durable before the migration begins. Older copies are kept."""
    tree.backups.mkdir(exist_ok=True)
    taken = {p.name for p in tree.backups.iterdir()}
    names = (f"limner-format-{version}{'' if n == 1 else f'-{n}'}.sqlite" for n in range(1, len(taken) + 2))
    target = tree.backups / next(name for name in names if name not in taken)
    temp = target.with_suffix(".part")
    temp.unlink(missing_ok=True)
    with closing(sqlite3.connect(temp)) as copy:
        connection.backup(copy)
    with temp.open("rb+") as file:
        os.fsync(file.fileno())
    temp.replace(target)
    sync_folder(tree.backups)
    return target
