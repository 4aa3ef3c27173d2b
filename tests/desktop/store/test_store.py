"""The library through its public surface: sessions, the tree of turns, pictures, what a model may see of the past."""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from desktop.store.records import PictureRecord, TurnRecord
from desktop.store.store import Store
from desktop.store.tree import sha256_of
from models.contracts import (
    SEED_MAX,
    BadInputError,
    GenerationSpec,
    ImageRef,
    Modality,
    Painted,
    PaintOverrides,
    PromptTokens,
    StoreError,
    TurnDone,
    TurnRequest,
)

Take = Callable[..., TurnRecord]
Add = Callable[..., PictureRecord]


# ---------------------------------------------------------------- sessions
def test_sessions_come_back_the_last_changed_first(store: Store, take_turn: Take) -> None:
    first, second = store.create_session("Foxes", seed=7), store.create_session()
    assert [s.id for s in store.sessions()] == [second.id, first.id]
    take_turn(first.id)
    assert [s.id for s in store.sessions()] == [first.id, second.id]
    assert (store.session(first.id).title, store.session(first.id).seed) == ("Foxes", 7)


def test_a_session_counts_its_turns_and_shows_its_newest_picture(store: Store, take_turn: Take) -> None:
    session = store.create_session()
    one = take_turn(session.id)
    take_turn(session.id, one.id, prompt=None)
    last = take_turn(session.id, one.id, prompt="the fox at night")
    record = store.session(session.id)
    assert (record.turns, record.pictures, record.head) == (3, 2, last.id)
    assert record.cover == last.pictures[0].path


def test_update_session_changes_what_is_given(store: Store, take_turn: Take) -> None:
    session = store.create_session("a", seed=1, seed_locked=True)
    turn = take_turn(session.id)
    store.update_session(session.id, title="b", seed=SEED_MAX, seed_locked=False)
    record = store.session(session.id)
    assert (record.title, record.seed, record.seed_locked, record.head) == ("b", SEED_MAX, False, turn.id)
    assert store.update_session(session.id, head=None).head is None
    assert store.update_session(session.id, head=turn.id).head == turn.id


def test_seeds_out_of_range_are_refused(store: Store) -> None:
    session = store.create_session()
    for seed in (-1, SEED_MAX + 1):
        with pytest.raises(BadInputError, match="out of range"):
            store.create_session(seed=seed)
        with pytest.raises(BadInputError, match="out of range"):
            store.update_session(session.id, seed=seed)
        with pytest.raises(BadInputError, match="out of range"):
            store.begin_turn(session.id, None, TurnRequest("t", "x", seed=seed))
    assert store.turns(session.id) == []


def test_unknown_ids_are_said_in_a_sentence(store: Store, make_done: Callable[..., TurnDone]) -> None:
    for ask in (store.session, store.turn, store.picture, store.delete_session, store.replay_specs):
        with pytest.raises(StoreError, match=r"There is no .* nowhere in this library"):
            ask("nowhere")
    with pytest.raises(StoreError, match="There is no turn nowhere"):
        store.finish_turn("nowhere", make_done())
    with pytest.raises(StoreError, match="There is no conversation nowhere"):
        store.begin_turn("nowhere", None, TurnRequest("t", "x"))


# ---------------------------------------------------------------- turns
def test_a_turn_is_pending_before_any_model_runs(store: Store) -> None:
    session = store.create_session()
    overrides = PaintOverrides(width=256, steps=3, negative_prompt="", count=2)
    request = TurnRequest(
        "t1", "Draw a red fox", modality=Modality.IMAGE, seed=SEED_MAX, two_step=True, overrides=overrides
    )
    turn = store.begin_turn(session.id, None, request)
    assert turn == store.turn("t1")
    assert (turn.state, turn.text, turn.modality, turn.seed) == ("pending", "Draw a red fox", Modality.IMAGE, SEED_MAX)
    assert (turn.two_step, turn.overrides, turn.reply) == (True, overrides, None)
    assert store.session(session.id).head == "t1"


def test_everything_of_a_finished_turn_survives_reopening(
    store: Store, take_turn: Take, make_done: Callable[..., TurnDone]
) -> None:
    session = store.create_session()
    turn = take_turn(session.id)
    store.close()
    with Store.open(store.root) as again:
        assert again.turn(turn.id) == turn
        assert again.interrupted() == [] and again.problems == [] and again.verify() == []
    done = make_done()
    assert (turn.reply, turn.passes, turn.timings) == (done.reply, done.passes, done.timings)
    assert (turn.p_draw, turn.mllm, turn.t2i, turn.protocol) == (0.97, done.mllm, done.t2i, "dialoggen")


def test_cancelled_and_failed_turns_keep_their_words_and_pictures(
    store: Store, add: Add, make_done: Callable[..., TurnDone]
) -> None:
    session = store.create_session()
    for turn_id in ("a", "b", "c"):
        store.begin_turn(session.id, None, TurnRequest(turn_id, turn_id))
        add(turn_id, f"fox {turn_id}")
    assert store.finish_turn("a", make_done(finish="cancelled")).state == "cancelled"
    failed = store.finish_turn("b", make_done(), error="The device is full.")
    assert (failed.state, failed.error, failed.reply) == ("failed", "The device is full.", make_done().reply)
    broken = store.fail_turn("c", "The worker died.")
    assert (broken.state, broken.error, broken.reply, len(broken.pictures)) == ("failed", "The worker died.", None, 1)


def test_a_finished_turn_is_never_written_again(
    store: Store, take_turn: Take, make_done: Callable[..., TurnDone]
) -> None:
    turn = take_turn(store.create_session().id)
    with pytest.raises(ValueError, match="not pending"):
        store.finish_turn(turn.id, make_done(say="something else"))
    with pytest.raises(ValueError, match="not pending"):
        store.fail_turn(turn.id, "no")
    assert store.turn(turn.id) == turn


def test_editing_an_earlier_message_branches(store: Store, take_turn: Take) -> None:
    session = store.create_session()
    root = take_turn(session.id, text="a fox")
    night = take_turn(session.id, root.id, text="at night", prompt="fox night")
    owl = take_turn(session.id, night.id, text="and an owl", prompt="fox owl")
    rain = take_turn(session.id, root.id, text="in the rain", prompt="fox rain")
    assert [t.text for t in store.branch(owl.id)] == ["a fox", "at night", "and an owl"]
    assert [t.text for t in store.branch(rain.id)] == ["a fox", "in the rain"]
    assert [t.id for t in store.children(root.id, session.id)] == [night.id, rain.id]
    assert [t.id for t in store.children(None, session.id)] == [root.id]
    assert [t.id for t in store.turns(session.id)] == [root.id, night.id, owl.id, rain.id]
    assert store.branch(None) == []


def test_editing_the_first_message_makes_a_second_root(store: Store, take_turn: Take) -> None:
    session = store.create_session()
    roots = [take_turn(session.id, None, prompt=f"fox {n}").id for n in range(2)]
    assert [t.id for t in store.children(None, session.id)] == roots


def test_a_turn_cannot_grow_in_another_conversation(store: Store, take_turn: Take) -> None:
    turn = take_turn(store.create_session().id)
    other = store.create_session()
    with pytest.raises(StoreError, match="another conversation"):
        store.begin_turn(other.id, turn.id, TurnRequest("t", "x"))
    with pytest.raises(StoreError, match="another conversation"):
        store.update_session(other.id, head=turn.id)
    assert store.turns(other.id) == []


@pytest.mark.parametrize(
    "text",
    ["", "x" * 1_000_000, "שלום עולם", "🦊❄️👨‍👩‍👧", "tab\there\nline\r\nbell\x07 null\x00 end", "画一只红狐狸"],
    ids=["empty", "megabyte", "right to left", "emoji", "control characters", "Chinese"],
)
def test_any_text_comes_back_as_it_was(store: Store, text: str, make_done: Callable[..., TurnDone]) -> None:
    session = store.create_session(text[:50])
    store.begin_turn(session.id, None, TurnRequest("t", text))
    turn = store.finish_turn("t", make_done(say=text))
    assert turn.text == text and turn.reply == make_done(say=text).reply
    assert store.session(session.id).title == text[:50]


def test_half_a_surrogate_pair_does_not_stop_a_turn(store: Store, add: Add, make_done: Callable[..., TurnDone]) -> None:
    session = store.create_session("fox \ud83e")
    assert store.begin_turn(session.id, None, TurnRequest("t", "fox \ud83e")).text == "fox \ufffd"
    assert add("t", "fox \ud83e").spec.prompt == "fox \ufffd"
    assert store.finish_turn("t", make_done(say="\ud83e\udd8a fox \udd8a")).reply.say == "🦊 fox \ufffd"  # type: ignore[union-attr]


def test_verdicts(store: Store, take_turn: Take) -> None:
    turn = take_turn(store.create_session().id)
    assert store.set_verdict(turn.id, "should_be_text").verdict == "should_be_text"
    assert store.set_verdict(turn.id, None).verdict is None
    with pytest.raises(ValueError, match="unknown verdict"):
        store.set_verdict(turn.id, "meh")


# ---------------------------------------------------------------- the past
def test_the_past_holds_answered_turns_with_their_pictures(store: Store, take_turn: Take, add: Add) -> None:
    session = store.create_session()
    fox = take_turn(session.id, text="a fox", prompt="a red fox")
    store.begin_turn(session.id, fox.id, TurnRequest("failed", "and now"))
    store.fail_turn("failed", "no memory")
    words = take_turn(session.id, "failed", text="what does it eat?", prompt=None, images=(fox.pictures[0].ref(),))
    store.begin_turn(session.id, words.id, TurnRequest("running", "at night"))
    first, second = store.past("running")
    assert (first.text, first.prompts, first.seed) == ("a fox", ("a red fox",), 42)
    assert first.raw_output == "Here is your fox.<draw>a red fox</draw>"
    assert first.drawn == (fox.pictures[0].ref(),) and first.drawn[0].number == 1
    assert (second.text, second.images, second.drawn) == ("what does it eat?", (fox.pictures[0].ref(),), ())
    assert store.past(None) == ()


def test_a_picture_that_is_gone_is_not_put_to_a_model(
    store: Store, take_turn: Take, tmp_path: Path, png: Callable[..., bytes]
) -> None:
    (tmp_path / "in.png").write_bytes(png())
    upload = store.import_picture(tmp_path / "in.png")
    turn = take_turn(store.create_session().id, images=(upload,))
    Path(upload.path).unlink()
    assert store.past(turn.id)[0].images == ()
    assert store.turn(turn.id).images == (upload,)


# ---------------------------------------------------------------- pictures
def test_a_picture_is_stored_by_its_content(store: Store, add: Add, make_spec: Callable[..., GenerationSpec]) -> None:
    session = store.create_session()
    store.begin_turn(session.id, None, TurnRequest("t", "fox"))
    picture = add("t")
    path = Path(picture.path)
    assert sha256_of(path) == picture.sha256 == path.stem
    assert path.relative_to(store.root).parts == ("pictures", picture.sha256[:2], f"{picture.sha256}.png")
    assert (picture.spec, picture.width, picture.height, picture.number) == (make_spec(), 24, 16, 1)
    assert store.picture(picture.sha256) == picture == store.turn("t").pictures[0]
    assert list(store.tmp.iterdir()) == []


def test_the_painted_file_is_removed_only_from_our_own_tmp(store: Store, paint: Callable[..., Painted]) -> None:
    store.begin_turn(store.create_session().id, None, TurnRequest("t", "fox"))
    outside = paint("outside")
    store.add_picture("t", 0, outside, (), PromptTokens((), (), 0))
    assert Path(outside.path).is_file()
    inside = store.tmp / "step.png"
    Path(outside.path).rename(inside)
    painted = Painted(str(inside), 24, 16, outside.spec, 0.1)
    store.add_picture("t", 1, painted, (), PromptTokens((), (), 0))
    assert not inside.exists()


def test_the_same_picture_twice_is_one_file_and_two_records(store: Store, take_turn: Take) -> None:
    session = store.create_session()
    one, two = take_turn(session.id), take_turn(session.id)
    a, b = one.pictures[0], two.pictures[0]
    assert (a.sha256, a.path) == (b.sha256, b.path) and (a.number, b.number) == (1, 2)
    assert len(store.pictures(session.id)) == 2 and store.picture(a.sha256).turn_id == two.id
    assert len(list(store.root.glob("pictures/*/*.png"))) == 1


def test_adding_again_after_an_error_is_harmless(store: Store, add: Add) -> None:
    session = store.create_session()
    store.begin_turn(session.id, None, TurnRequest("t", "fox"))
    first = add("t")
    Path(first.path).unlink()
    assert add("t") == first and Path(first.path).is_file()
    with pytest.raises(ValueError, match="already has a picture"):
        add("t", "another fox")
    assert len(store.pictures(session.id)) == 1


def test_several_pictures_of_a_turn_come_in_order(store: Store, add: Add) -> None:
    session = store.create_session()
    store.begin_turn(session.id, None, TurnRequest("t", "foxes"))
    for slot in (1, 0, 2):
        add("t", f"fox {slot}", slot)
    assert [p.slot for p in store.turn("t").pictures] == [0, 1, 2]
    assert [(p.number, p.slot) for p in store.pictures(session.id)] == [(1, 1), (2, 0), (3, 2)]
    assert [p.number for p in store.pictures(session.id, limit=2)] == [2, 3]


def test_a_torn_painted_file_is_refused(store: Store, paint: Callable[..., Painted]) -> None:
    store.begin_turn(store.create_session().id, None, TurnRequest("t", "fox"))
    painted = paint()
    whole = Path(painted.path).read_bytes()
    for broken in (whole[:-20], whole[:40] + b"x" + whole[41:], b"", b"GIF89a"):
        Path(painted.path).write_bytes(broken)
        with pytest.raises(StoreError, match="paint it again"):
            store.add_picture("t", 0, painted, (), PromptTokens((), (), 0))
    Path(painted.path).unlink()
    with pytest.raises(StoreError, match="paint it again"):
        store.add_picture("t", 0, painted, (), PromptTokens((), (), 0))
    assert store.turn("t").pictures == () and list(store.root.glob("pictures/*/*")) == []


def test_stars(store: Store, take_turn: Take) -> None:
    picture = take_turn(store.create_session().id).pictures[0]
    assert store.star(picture.sha256, True).starred
    assert not store.star(picture.sha256, False).starred


def test_replay_specs_hold_what_is_missing_too(store: Store, take_turn: Take) -> None:
    session = store.create_session()
    one, two = take_turn(session.id, prompt="one"), take_turn(session.id, prompt="two")
    store.close()
    Path(one.pictures[0].path).unlink()
    with Store.open(store.root) as again:
        specs = again.replay_specs(session.id)
        assert [(p.spec.prompt, p.missing) for p in specs] == [("one", True), ("two", False)]
        assert again.pictures(session.id) == list(two.pictures)


def test_a_library_can_be_moved(store: Store, take_turn: Take, tmp_path: Path, png: Callable[..., bytes]) -> None:
    (tmp_path / "in.png").write_bytes(png())
    upload = store.import_picture(tmp_path / "in.png")
    turn = take_turn(store.create_session().id, images=(upload,), init_image=upload, strength=0.5)
    store.close()
    moved = store.root.rename(tmp_path / "elsewhere")
    with Store.open(moved) as again:
        found = again.turn(turn.id)
        paths = [found.pictures[0].path, found.images[0].path, found.pictures[0].spec.init_image.path]  # type: ignore[union-attr]
        assert all(Path(path).is_file() and Path(path).is_relative_to(moved) for path in paths)
        assert again.verify() == []


def test_turn_images_must_be_in_the_library(store: Store) -> None:
    session = store.create_session()
    stranger = ImageRef("/somewhere/else.png", "0" * 64, 1, 1)
    with pytest.raises(ValueError, match="import_picture comes first"):
        store.begin_turn(session.id, None, TurnRequest("t", "x", (stranger,)))


# ---------------------------------------------------------------- deleting
def test_deleting_a_session_takes_its_pictures_along(
    store: Store, take_turn: Take, tmp_path: Path, png: Callable[..., bytes]
) -> None:
    (tmp_path / "in.png").write_bytes(png())
    upload = store.import_picture(tmp_path / "in.png")
    session = store.create_session()
    take_turn(session.id, images=(upload,))
    store.delete_session(session.id)
    assert store.sessions() == [] and store.search("fox") == []
    assert list(store.root.glob("pictures/*/*")) == list(store.root.glob("uploads/*/*")) == []
    assert store.verify() == []


def test_deleting_keeps_what_another_session_stands_on(
    store: Store, take_turn: Take, tmp_path: Path, png: Callable[..., bytes]
) -> None:
    (tmp_path / "in.png").write_bytes(png())
    upload = store.import_picture(tmp_path / "in.png")
    one, two = store.create_session(), store.create_session()
    drawn = take_turn(one.id, prompt="borrowed", images=(upload,)).pictures[0]
    same = take_turn(one.id, prompt="painted in both").pictures[0]
    take_turn(two.id, prompt="painted in both")
    take_turn(two.id, prompt=None, images=(upload, drawn.ref()))
    store.delete_session(one.id)
    assert all(Path(p).is_file() for p in (upload.path, drawn.path, same.path))
    store.close()
    with Store.open(store.root) as again:
        assert Path(drawn.path).is_file() and again.problems == []
        again.delete_session(two.id)
    assert list(store.root.glob("pictures/*/*")) == list(store.root.glob("uploads/*/*")) == []


def test_a_very_long_conversation_can_be_walked_and_deleted(store: Store) -> None:
    session, parent = store.create_session(), None
    with store._database.write() as connection:  # 3,000 durable commits would only measure the disk
        connection.executemany(
            """INSERT INTO turns(id, session_id, parent_id, created, state, text, images, modality, seed, mllm_seed,
            two_step, overrides) VALUES (?, ?, ?, 0, 'done', '', '[]', 'auto', 0, 0, 0, '{}')""",
            [(f"{n}", session.id, f"{n - 1}" if n else None) for n in range(3000)],
        )
    parent = store.begin_turn(session.id, "2999", TurnRequest("last", "still there?"))
    assert len(store.branch(parent.id)) == 3001
    store.delete_session(session.id)
    assert store.sessions() == []


# ---------------------------------------------------------------- threads
def test_window_and_engine_may_call_at_once(store: Store, make_done: Callable[..., TurnDone]) -> None:
    session = store.create_session()
    errors: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for n in range(10):
                store.begin_turn(session.id, None, TurnRequest(f"{name}-{n}", "fox"))
                store.sessions()
                store.finish_turn(f"{name}-{n}", make_done())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [t.state for t in store.turns(session.id)] == ["done"] * 40


def test_a_failed_step_leaves_nothing_behind(store: Store, take_turn: Take) -> None:
    turn = take_turn(store.create_session().id)
    with pytest.raises(sqlite3.IntegrityError):
        store.begin_turn(turn.session_id, None, TurnRequest(turn.id, "the same id again"))
    assert store.turn(turn.id) == turn and len(store.turns(turn.session_id)) == 1
    take_turn(turn.session_id, turn.id)  # and the connection is usable
