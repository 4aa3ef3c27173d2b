"""Full and read-only disks: one sentence, nothing lost, and everything works again once there is room.

The real thing needs a small file system of our own (tmpfs); where mounting is not permitted those tests are skipped and
the same faults are provoked instead.
"""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from desktop.store import tree as trees
from desktop.store.errors import translate
from desktop.store.records import PictureRecord, TurnRecord
from desktop.store.store import Store
from models.contracts import StoreError, TurnDone, TurnRequest

Take = Callable[..., TurnRecord]
Png = Callable[..., bytes]


def _mount(*arguments: str) -> bool:
    if sys.platform != "linux":
        return False
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if not _mount("-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)):
        pytest.skip("mounting a small disk is not permitted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError as error:
            assert error.errno == errno.ENOSPC


@pytest.fixture
def on_small_disk(small_disk: Path) -> Iterator[Store]:
    with Store.open(small_disk / "library") as store:
        yield store


class TestFullDisk:
    @pytest.fixture
    def store(self, on_small_disk: Store) -> Store:
        """What `take_turn` and `add` work on."""
        return on_small_disk

    def test_nothing_is_lost_and_work_goes_on(
        self, store: Store, take_turn: Take, small_disk: Path, make_done: Callable[..., TurnDone]
    ) -> None:
        session = store.create_session()
        saved = take_turn(session.id)
        store.begin_turn(session.id, saved.id, TurnRequest("running", "at night"))
        _fill(small_disk / "filler")
        attempts = 0
        with pytest.raises(StoreError, match="is full: free some space"):
            for attempts in range(2000):  # the log may still have a few free pages
                store.begin_turn(session.id, saved.id, TurnRequest(f"full-{attempts}", "more " * 200))
        assert store.turn(saved.id) == saved and Path(saved.pictures[0].path).is_file()
        assert len(store.turns(session.id)) == 2 + attempts
        (small_disk / "filler").unlink()
        assert store.finish_turn("running", make_done()).state == "done"
        after = take_turn(session.id, saved.id, prompt="the fox at night")
        store.close()
        with Store.open(store.root) as again:
            assert again.turn(after.id) == after and again.problems == again.verify() == []
            assert len(again.interrupted()) == attempts

    def test_a_picture_that_has_no_room(
        self, store: Store, add: Callable[..., PictureRecord], small_disk: Path, make_done: Callable[..., TurnDone]
    ) -> None:
        session = store.create_session()
        store.begin_turn(session.id, None, TurnRequest("t", "fox"))
        _fill(small_disk / "filler")
        with pytest.raises(StoreError, match="is full: free some space"):
            add("t", "a fox " * 2000)
        assert store.pictures(session.id) == [] and list(store.tmp.iterdir()) == []
        (small_disk / "filler").unlink()
        picture = add("t", "a fox " * 2000)
        assert store.finish_turn("t", make_done()).pictures == (picture,) and store.verify() == []

    def test_opening_with_no_room_at_all(self, store: Store, take_turn: Take, small_disk: Path) -> None:
        turn = take_turn(store.create_session().id)
        store.close()
        _fill(small_disk / "filler")
        with pytest.raises(StoreError, match="is full: free some space"):
            Store.open(small_disk / "another library")
        (small_disk / "filler").unlink()
        with Store.open(store.root) as again:
            assert again.turn(turn.id) == turn


def test_a_read_only_disk(small_disk: Path) -> None:
    Store.open(small_disk / "library").close()
    assert _mount("-o", "remount,ro", str(small_disk))
    for name in ("library", "new library"):
        with pytest.raises(StoreError, match="cannot be written: allow writing"):
            Store.open(small_disk / name)


# ---------------------------------------------------------------- the same faults, provoked
def _raise(number: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "is full"),
        (errno.EDQUOT, "is full"),
        (errno.EROFS, "cannot be written"),
        (errno.EACCES, "cannot be written"),
        (errno.EIO, "does not answer"),
    ],
)
@pytest.mark.parametrize("step", ["_sync", "sync_folder"])
def test_faults_while_a_picture_is_stored(
    store: Store,
    add: Callable[..., PictureRecord],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    sentence: str,
    step: str,
) -> None:
    session = store.create_session()
    store.begin_turn(session.id, None, TurnRequest("t", "fox"))
    monkeypatch.setattr(trees, step, _raise(number))
    with pytest.raises(StoreError, match=sentence):
        add("t")
    assert store.pictures(session.id) == [] and list(store.tmp.iterdir()) == []
    monkeypatch.undo()
    assert add("t").number == 1


def test_a_full_database(store: Store, make_done: Callable[..., TurnDone]) -> None:
    session = store.create_session()
    store.begin_turn(session.id, None, TurnRequest("t", "fox"))
    with store._database.read() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="is full: free some space"):
            store.begin_turn(session.id, "t", TurnRequest("u", "x" * 100_000))
        connection.execute("PRAGMA max_page_count = 1000000")
    assert [t.id for t in store.turns(session.id)] == ["t"] and store.session(session.id).head == "t"
    assert store.finish_turn("t", make_done()).state == "done"


def test_a_database_that_becomes_read_only(store: Store) -> None:
    session = store.create_session("kept")
    with store._database.read() as connection:
        connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="cannot be written: allow writing"):
        store.create_session("lost")
    assert [s.id for s in store.sessions()] == [session.id]


def test_an_upload_that_has_no_room(store: Store, tmp_path: Path, png: Png, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in.png").write_bytes(png())
    monkeypatch.setattr(trees, "_sync", _raise(errno.ENOSPC))
    with pytest.raises(StoreError, match="is full"):
        store.import_picture(tmp_path / "in.png")
    assert list(store.tmp.iterdir()) == list(store.root.glob("uploads/*/*")) == []


def test_a_folder_that_vanishes(tmp_path: Path) -> None:
    sentence = str(translate(FileNotFoundError(errno.ENOENT, "No such file or directory"), tmp_path))
    assert sentence.startswith(f"The library {tmp_path} cannot be used (No such file or directory): check")
