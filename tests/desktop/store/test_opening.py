"""Opening a library: new, old, newer, foreign, damaged, in use, read-only."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from desktop.store import database as databases
from desktop.store.database import Database
from desktop.store.records import TurnRecord
from desktop.store.schema import APPLICATION_ID, MIGRATIONS
from desktop.store.store import Store
from desktop.store.tree import Tree
from models.contracts import StoreError

Take = Callable[..., TurnRecord]


def _pragma(path: Path, name: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


def _run(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def _refused(root: Path, reason: str) -> None:
    with pytest.raises(StoreError, match=reason) as raised:
        Store.open(root)
    assert "\n" not in str(raised.value) and str(root) in str(raised.value)


def test_a_new_library_is_marked_as_ours(store: Store) -> None:
    assert _pragma(store.root / "limner.sqlite", "application_id") == APPLICATION_ID
    assert _pragma(store.root / "limner.sqlite", "user_version") == len(MIGRATIONS)
    assert _pragma(store.root / "limner.sqlite", "journal_mode") == "wal"
    with store._database.read() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
        assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1
        assert connection.execute("PRAGMA busy_timeout").fetchone()[0] == 5000
    assert not (store.root / "backups").exists()


def test_a_creation_that_was_cut_short_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "limner.sqlite").touch()
    with Store.open(tmp_path) as store:
        assert store.create_session("x").title == "x"


# ---------------------------------------------------------------- migrations
def _library_of_format_1(root: Path, store: Store) -> None:
    """The store's own rows in a database as the first format had it (no search)."""
    tree = Tree(root)
    tree.make()
    Database(tree, MIGRATIONS[:1]).close()
    with closing(sqlite3.connect(tree.database)) as connection:
        connection.execute("ATTACH ? AS old", (str(store.root / "limner.sqlite"),))
        connection.execute("BEGIN")
        for table in ("sessions", "turns", "pictures", "uploads", "uses"):
            connection.execute(f"INSERT INTO {table} SELECT * FROM old.{table}")
        connection.commit()
    shutil.copytree(store.root / "pictures", root / "pictures", dirs_exist_ok=True)


def test_an_older_library_is_backed_up_and_migrated(store: Store, take_turn: Take, tmp_path: Path) -> None:
    turn = take_turn(store.create_session("foxes").id, text="Draw a red fox", prompt="a fox in the snow")
    old = tmp_path / "old"
    _library_of_format_1(old, store)
    with Store.open(old) as migrated:
        assert migrated.turn(turn.id).reply == turn.reply
        assert [hit.kind for hit in migrated.search("snow")] == ["prompt"]
        assert [hit.kind for hit in migrated.search("Here your")] == ["answer"]
        assert migrated.verify() == []
    backup = old / "backups" / "limner-format-1.sqlite"
    assert _pragma(backup, "user_version") == 1 and _pragma(backup, "integrity_check") == "ok"
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("SELECT id FROM turns").fetchall() == [(turn.id,)]


def test_a_migration_that_fails_changes_nothing(store: Store, take_turn: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = take_turn(store.create_session().id)
    store.close()
    broken = (*MIGRATIONS, ("ALTER TABLE turns ADD COLUMN mood TEXT", "UPDATE turns SET nonsense = 1"))
    for attempt in ("limner-format-2.sqlite", "limner-format-2-2.sqlite"):
        with pytest.raises(sqlite3.OperationalError, match="nonsense"):
            Database(Tree(store.root), broken)
        assert _pragma(store.root / "limner.sqlite", "user_version") == len(MIGRATIONS)
        assert (store.root / "backups" / attempt).is_file()  # an earlier backup is never overwritten
    with Store.open(store.root) as again:
        assert again.turn(turn.id) == turn


# ---------------------------------------------------------------- not for us
def test_a_newer_library_is_left_alone(store: Store) -> None:
    store.close()
    _run(store.root / "limner.sqlite", "PRAGMA user_version = 99")
    before = (store.root / "limner.sqlite").read_bytes()
    _refused(store.root, "newer Limner .format 99.*update Limner")
    assert (store.root / "limner.sqlite").read_bytes() == before


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    _run(tmp_path / "limner.sqlite", "CREATE TABLE recipes(cake TEXT)")
    _refused(tmp_path, "belongs to another program")
    _run(tmp_path / "limner.sqlite", "PRAGMA application_id = 5")
    _refused(tmp_path, "belongs to another program")
    assert _pragma(tmp_path / "limner.sqlite", "journal_mode") == "delete"


@pytest.mark.parametrize("content", [b"a red fox", b"\0" * 5000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_what_is_no_database_is_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "limner.sqlite").write_bytes(content)
    _refused(tmp_path, "damaged and was left as it is")
    assert (tmp_path / "limner.sqlite").read_bytes() == content


def test_a_truncated_database_is_kept(store: Store, take_turn: Take) -> None:
    session = store.create_session()
    for _ in range(3):
        take_turn(session.id)
    store.close()
    database = store.root / "limner.sqlite"
    cut = database.read_bytes()[: database.stat().st_size // 2]
    database.write_bytes(cut)
    _refused(store.root, "damaged and was left as it is")
    assert database.read_bytes() == cut
    assert len(list(store.root.glob("pictures/*/*.png"))) == 1  # and so are the pictures


def test_damage_found_later_is_said_in_a_sentence(store: Store, take_turn: Take) -> None:
    session = store.create_session()
    for _ in range(20):
        take_turn(session.id)
    store.close()
    database = store.root / "limner.sqlite"
    with closing(sqlite3.connect(database)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sessions_by_time'").fetchone()[0]
    data = bytearray(database.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = b"\xee" * 4096
    database.write_bytes(bytes(data))
    with Store.open(store.root) as again, pytest.raises(StoreError, match="is damaged"):
        again.create_session()


# ---------------------------------------------------------------- locks
def test_a_second_limner_on_the_same_folder_is_refused(store: Store) -> None:
    _refused(store.root, "Another Limner is using the library")
    store.create_session("still mine")
    store.close()
    with Store.open(store.root) as again:
        assert [s.title for s in again.sessions()] == ["still mine"]


def test_another_process_is_refused_too(store: Store) -> None:
    code = "import sys; from pathlib import Path; from desktop.store.store import Store; Store.open(Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(store.root)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    assert result.returncode == 1 and "Another Limner is using the library" in result.stderr


def test_a_child_process_does_not_keep_the_lock(store: Store) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as child:
        store.close()
        Store.open(store.root).close()
        assert child.poll() is None
        child.communicate(b"\n")


def test_a_database_locked_by_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "BUSY_TIMEOUT_S", 0.05)
    with Store.open(tmp_path) as store:
        session = store.create_session()
        with closing(sqlite3.connect(tmp_path / "limner.sqlite")) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="Another program is busy with the library"):
                store.create_session()
            other.rollback()
        assert [s.id for s in store.sessions()] == [session.id] and store.create_session()


# ---------------------------------------------------------------- places that cannot be a library
def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "library").write_text("")
    _refused(tmp_path / "library", "cannot be used .File exists")


def test_an_old_sqlite_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 31, 1))
    with pytest.raises(StoreError, match=r"needs 3\.34 or newer"):
        Store.open(tmp_path)
    monkeypatch.undo()
    Store.open(tmp_path).close()  # the lock was given back
