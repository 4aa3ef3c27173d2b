"""What a crash between two steps leaves behind is put right at the next start; test_kill.py does it by real kills."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from desktop.store import recipe, repair
from desktop.store.database import Database
from desktop.store.records import PictureRecord, TurnRecord
from desktop.store.store import Store
from desktop.store.tree import Tree
from models.contracts import Cancelled, ImageRef, TurnDone, TurnRequest

Take = Callable[..., TurnRecord]
Add = Callable[..., PictureRecord]
Png = Callable[..., bytes]


class PowerCut(BaseException):
    """Stands for the end of the process: nothing after it runs."""


def _cut(*_: object, **__: object) -> None:
    raise PowerCut


def _begin(store: Store) -> str:
    session = store.create_session()
    store.begin_turn(session.id, None, TurnRequest("t", "Draw a red fox"))
    return session.id


def test_pending_turns_become_interrupted_and_are_offered_once(store: Store, take_turn: Take) -> None:
    session = store.create_session()
    done = take_turn(session.id)
    store.begin_turn(session.id, done.id, TurnRequest("t", "at night"))
    store.close()
    with Store.open(store.root) as again:
        (turn,) = again.interrupted()
        assert (turn.id, turn.state, turn.text) == ("t", "interrupted", "at night")
        assert again.turn(done.id) == done
    with Store.open(store.root) as third:
        assert third.interrupted() == [] and third.turn("t").state == "interrupted"


def test_an_interrupted_turn_can_be_repeated_beside_it(store: Store, take_turn: Take) -> None:
    session_id = _begin(store)
    store.close()
    with Store.open(store.root) as again:
        again.begin_turn(session_id, again.turn("t").parent_id, TurnRequest("again", again.turn("t").text))
        assert [t.id for t in again.children(None, session_id)] == ["t", "again"]


def test_a_cut_before_the_file_is_moved_leaves_nothing(store: Store, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    session_id = _begin(store)
    monkeypatch.setattr(Tree, "settle", _cut)
    with pytest.raises(PowerCut):
        add("t")
    monkeypatch.undo()
    store.close()
    (store.tmp / "0123.png").write_bytes(b"half a pic")
    (store.tmp / "scratch").mkdir()
    with Store.open(store.root) as again:
        assert again.problems == again.verify() == again.pictures(session_id) == []
        assert list(again.tmp.iterdir()) == [] and not (again.root / "orphans").exists()


def test_a_cut_before_the_row_is_written_loses_no_picture(
    store: Store, add: Add, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, png: Png
) -> None:
    (tmp_path / "in.png").write_bytes(png())
    init = store.import_picture(tmp_path / "in.png")
    session_id = _begin(store)
    monkeypatch.setattr(repair, "add_picture_row", _cut)
    with pytest.raises(PowerCut):
        add("t", "a fox like this one", init_image=init, strength=0.5)
    monkeypatch.undo()
    store.close()
    assert len(list(store.root.glob("pictures/*/*.png"))) == 1
    with Store.open(store.root) as again:
        (picture,) = again.pictures(session_id)
        assert (picture.turn_id, picture.slot, picture.number) == ("t", 0, 1)
        assert picture.spec.init_image == init and Path(picture.path).is_file()
        assert again.turn("t").state == "interrupted" and again.turn("t").pictures == (picture,)
        assert [hit.kind for hit in again.search("like this one")] == ["prompt"]
        assert again.problems == again.verify() == []


def test_a_picture_that_no_turn_knows_is_set_aside_never_deleted(store: Store, take_turn: Take, tmp_path: Path) -> None:
    kept = take_turn(store.create_session().id, prompt="kept")
    store.close()
    shutil.copytree(store.root, tmp_path / "earlier")
    with Store.open(store.root) as later:
        session = later.sessions()[0]
        later.begin_turn(session.id, kept.id, TurnRequest("later", "one more"))
    orphan = store.root / "pictures" / "ab" / f"{'ab' * 32}.png"
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"somebody's picture")
    with Store.open(store.root) as again:
        assert [("belongs to no conversation" in p) for p in again.problems] == [True]
        assert (again.root / "orphans" / orphan.name).read_bytes() == b"somebody's picture"
        assert not orphan.exists() and again.verify() == []


def test_a_database_put_back_from_a_backup_finds_its_pictures_again(store: Store, take_turn: Take) -> None:
    session = store.create_session()
    one = take_turn(session.id, prompt="one")
    store.close()
    database = store.root / "limner.sqlite"
    old = database.read_bytes()
    with Store.open(store.root) as later:
        later.delete_session(session.id)
    new = database.read_bytes()
    assert not Path(one.pictures[0].path).exists()
    # The file is gone for good here, so the old rows have nothing to show …
    database.write_bytes(old)
    with Store.open(store.root) as again:
        assert again.pictures(session.id) == [] and "is missing" in again.problems[0]
    # … but a picture that was only set aside comes back with its rows.
    aside = store.root / "orphans" / Path(one.pictures[0].path).name
    aside.parent.mkdir()
    shutil.copy(_repainted(store, one), aside)
    with Store.open(store.root) as again:
        assert again.problems == [] and again.pictures(session.id) == list(one.pictures)
    assert new != old


def _repainted(store: Store, turn: TurnRecord) -> Path:
    """The very bytes of the turn's picture, made again from pixels and recipe (which is what K2 promises)."""
    spec = turn.pictures[0].spec
    bare = store.root.parent / "bare.png"
    colour = (spec.seed % 256, len(spec.prompt) % 256, sum(spec.prompt.encode()) % 256)
    Image.new("RGB", (spec.width, spec.height), colour).save(bare)
    whole = store.root.parent / "whole.png"
    whole.write_bytes(recipe.embed(bare.read_bytes(), recipe.Recipe(spec, turn.pictures[0].steps)))
    return whole


def test_a_missing_picture_is_reported_hidden_and_found_again(store: Store, take_turn: Take, tmp_path: Path) -> None:
    session = store.create_session()
    one, two = take_turn(session.id, prompt="one"), take_turn(session.id, prompt="two")
    store.close()
    path = Path(one.pictures[0].path)
    path.rename(tmp_path / "hidden.png")
    with Store.open(store.root) as again:
        assert [str(path) in problem and "is missing" in problem for problem in again.problems] == [True]
        assert again.pictures(session.id) == list(two.pictures) and again.turn(one.id).pictures == ()
        assert again.session(session.id).pictures == 1 and len(again.verify()) == 1
    (tmp_path / "hidden.png").rename(path)
    with Store.open(store.root) as again:
        assert again.problems == [] and again.turn(one.id) == one


def test_verify_finds_a_changed_file(store: Store, take_turn: Take) -> None:
    session = store.create_session()
    picture = take_turn(session.id).pictures[0]
    path = Path(picture.path)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    (problem,) = store.verify()
    assert str(path) in problem and "has changed" in problem


def test_verify_shows_progress_and_can_be_cancelled(store: Store, take_turn: Take) -> None:
    session = store.create_session()
    for prompt in ("one", "two", "three"):
        take_turn(session.id, prompt=prompt)
    seen: list[tuple[int, int]] = []
    store.verify(lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]

    def stop(done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        store.verify(stop)


def test_a_deletion_cut_short_is_finished(store: Store, take_turn: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    session = store.create_session()
    picture = take_turn(session.id).pictures[0]
    monkeypatch.setattr(repair, "remove_discarded", _cut)
    with pytest.raises(PowerCut):
        store.delete_session(session.id)
    monkeypatch.undo()
    assert Path(picture.path).is_file()
    store.close()
    with Store.open(store.root) as again:
        assert again.sessions() == again.problems == again.verify() == []
    assert not Path(picture.path).exists() and not (store.root / "orphans").exists()


def test_a_file_that_cannot_be_deleted_now_is_deleted_later(
    store: Store, take_turn: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = store.create_session()
    picture = take_turn(session.id).pictures[0]
    monkeypatch.setattr(repair, "_remove", lambda path: False)
    store.delete_session(session.id)
    monkeypatch.undo()
    store.close()
    assert Path(picture.path).is_file()
    Store.open(store.root).close()
    assert not Path(picture.path).exists()


def test_an_upload_cut_off_before_its_row_is_taken_in(
    store: Store, tmp_path: Path, png: Png, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.png").write_bytes(png())
    monkeypatch.setattr(repair, "add_upload_row", _cut)
    with pytest.raises(PowerCut):
        store.import_picture(tmp_path / "in.png")
    monkeypatch.undo()
    store.close()
    (path,) = store.root.glob("uploads/*/*.png")
    (path.parent / f"{path.stem[:2]}{'0' * 62}.png").write_bytes(b"not what its name says")
    with Store.open(store.root) as again:
        assert again.problems == again.verify() == []
        ref = again.import_picture(tmp_path / "in.png")
        assert ref == ImageRef(str(path), path.stem, 6, 4)
        assert [p.name for p in (again.root / "orphans").iterdir()] == [f"{path.stem[:2]}{'0' * 62}.png"]


def test_files_of_others_in_the_folders_are_ignored(store: Store, take_turn: Take) -> None:
    take_turn(store.create_session().id)
    store.close()
    strangers = [store.root / "pictures" / ".DS_Store", store.root / "pictures" / "ab" / "Thumbs.db"]
    for path in strangers:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    with Store.open(store.root) as again:
        assert again.problems == [] and all(path.is_file() for path in strangers)


def test_a_crash_in_the_middle_of_the_repair_is_repaired(
    store: Store, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = _begin(store)
    monkeypatch.setattr(repair, "add_picture_row", _cut)
    with pytest.raises(PowerCut):
        add("t")
    store.close()
    with pytest.raises(PowerCut):
        Store.open(store.root)
    monkeypatch.undo()
    with Store.open(store.root) as again:
        assert len(again.pictures(session_id)) == 1 and again.verify() == []


def test_every_transaction_is_whole_or_not_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    session_id = _begin(store)
    with pytest.raises(PowerCut), store._database.write() as connection:
        connection.execute("UPDATE sessions SET title = 'half'")
        raise PowerCut
    assert store.session(session_id).title == "" and isinstance(store._database, Database)


def test_what_a_turn_needs_stays_when_its_neighbour_fails(
    store: Store, add: Add, make_done: Callable[..., TurnDone], monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = _begin(store)
    first = add("t", "first", 0)
    monkeypatch.setattr(Tree, "settle", _cut)
    with pytest.raises(PowerCut):
        add("t", "second", 1)
    monkeypatch.undo()
    assert store.finish_turn("t", make_done()).pictures == (first,)
    store.close()
    with Store.open(store.root) as again:
        assert again.pictures(session_id) == [first] and again.problems == []
