"""run_turn: order of events, what is recorded, cancel at any moment, errors untouched. The models are scripted."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from models.contracts import (
    BadInputError,
    Decided,
    DrawDone,
    DrawStarted,
    DrawStep,
    ImageRef,
    Modality,
    OutOfMemoryError,
    PaintOverrides,
    PastTurn,
    Prefilled,
    SayDelta,
    TextSegment,
    TurnDone,
    TurnEvent,
    TurnRequest,
    TurnStage,
    WorkerDiedError,
    from_json,
    to_json,
)
from models.mllm.fake import ScriptedMllm
from models.protocols import PROTOCOLS, get_protocol
from models.t2i.fake import ScriptedT2I, scripted_info
from models.turn import run_turn

FOX = "A red fox, the background is snow"
DRAWS = f"<draw>{FOX}</draw>Here is your fox."
WORDS = "Foxes eat mice."
PICTURE = ImageRef("/p/1.png", "ab", 64, 64)


class Clock:
    """Says "stop" from its n-th question on."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked > self.after


def _run(
    folder: Path,
    outputs: list[str],
    painter: ScriptedT2I | None = None,
    *,
    mllm: ScriptedMllm | None = None,
    protocol: str = "dialoggen",
    cancelled: Callable[[], bool] = lambda: False,
    **request: object,
) -> list[TurnEvent]:
    painter = painter or ScriptedT2I()
    asked = TurnRequest(**({"turn_id": "t", "text": "draw a fox", "seed": 7} | request))  # type: ignore[arg-type]
    director = mllm or ScriptedMllm(outputs)
    events = run_turn(
        asked, mllm=director, t2i=lambda: painter, protocol=get_protocol(protocol), folder=folder, cancelled=cancelled
    )
    return list(events)


def _done(events: list[TurnEvent]) -> TurnDone:
    assert isinstance(events[-1], TurnDone)
    assert not any(isinstance(e, TurnDone) for e in events[:-1])
    return events[-1]


def _said(events: list[TurnEvent]) -> str:
    return "".join(e.text for e in events if isinstance(e, SayDelta))


def _shape(events: list[TurnEvent]) -> list[str]:
    """Event names, runs of one kind as one."""
    names = [e.stage if isinstance(e, TurnStage) else e.event for e in events]
    return [n for n, before in zip(names, ["", *names], strict=False) if n != before]


def test_a_drawn_turn(tmp_path: Path) -> None:
    events = _run(tmp_path, [DRAWS])
    assert _shape(events) == [
        "reading", "prefilled", "writing", "decided", "say", "loading_t2i", "painting",
        "draw_started", "draw_step", "draw_done", "done",
    ]  # fmt: skip
    done = _done(events)
    assert (done.reply.raw, done.reply.say, _said(events)) == (DRAWS, "Here is your fox.", "Here is your fox.")
    assert (done.p_draw, done.finish, done.protocol) == (0.5, "done", "dialoggen")
    assert done.mllm is not None and done.mllm.name == "scripted"
    assert done.t2i is not None and done.t2i.name == "scripted-sd"
    assert [(p.role, p.raw, p.finish) for p in done.passes] == [("answer", DRAWS, "stop")]
    drawn = next(e for e in events if isinstance(e, DrawDone))
    assert drawn.painted.spec.prompt == FOX
    with Image.open(drawn.painted.path) as picture:
        assert picture.size == (64, 64)


def test_words_load_no_painter(tmp_path: Path) -> None:
    asked = TurnRequest("t", "what do foxes eat?")
    events = list(
        run_turn(
            asked, mllm=ScriptedMllm([WORDS]), t2i=lambda: pytest.fail("loaded"), protocol=get_protocol("dialoggen"),
            folder=tmp_path,
        )
    )  # fmt: skip
    done = _done(events)
    assert (_said(events), done.reply.modality, done.t2i) == (WORDS, Modality.TEXT, None)
    assert done.timings.t2i_s == 0.0


def test_timings_add_up(tmp_path: Path) -> None:
    timings = _done(_run(tmp_path, [DRAWS])).timings
    assert 0 < timings.first_token_s < timings.total_s
    assert 0 < timings.mllm_s + timings.t2i_s < timings.total_s


def test_a_story_is_painted_in_order_with_seeds_that_count_on(tmp_path: Path) -> None:
    raw = "First <image> a hut </image> then <image> a castle </image> the end"
    events = _run(tmp_path, [raw], protocol="mini_dalle3")
    started = [(e.slot, e.spec.prompt, e.spec.seed) for e in events if isinstance(e, DrawStarted)]
    assert started == [(0, "a hut", 7), (1, "a castle", 8)]
    assert _said(events) == _done(events).reply.say == "First\n\nthen\n\nthe end"


def test_variations(tmp_path: Path) -> None:
    events = _run(tmp_path, [DRAWS], overrides=PaintOverrides(count=3, steps=2))
    assert [e.painted.spec.seed for e in events if isinstance(e, DrawDone)] == [7, 8, 9]
    assert sum(isinstance(e, DrawStep) for e in events) == 6
    assert _shape(events).count("loading_t2i") == 1


def test_the_request_reaches_the_mllm(tmp_path: Path) -> None:
    mllm = ScriptedMllm([DRAWS])
    history = (PastTurn("a", "hi", (), "hello"),)
    _run(tmp_path, [], mllm=mllm, history=history, images=(PICTURE,), mllm_seed=9, modality=Modality.IMAGE)
    asked = mllm.requests[0]
    assert [m.role for m in asked.messages] == ["system", "user", "assistant", "user"]
    assert asked.messages[-1].images == (PICTURE,)
    assert (asked.sampling.seed, asked.sampling.max_tokens) == (9, 64)
    assert asked.modality is Modality.IMAGE
    assert asked.decision == get_protocol("dialoggen").decision


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_tag_is_ever_said(tmp_path: Path, protocol: str) -> None:
    raw = f"Look: {get_protocol(protocol).decision.openers[0]} and"
    for piece in (1, 2, 5, 100):
        events = _run(tmp_path, [], mllm=ScriptedMllm([raw], piece=piece), protocol=protocol)
        said = _said(events)
        assert said == _done(events).reply.say
        assert said.startswith("Look:")
        assert not set("<>[]") & set(said)


# ---------------------------------------------------------------- modality
def test_picture_wanted_but_no_prompt_written(tmp_path: Path) -> None:
    events = _run(tmp_path, ["<draw></draw>Gladly."], text="a fox in the snow", modality=Modality.IMAGE)
    started = next(e for e in events if isinstance(e, DrawStarted))
    assert started.spec.prompt == "a fox in the snow"
    assert "your words" in [s.name for s in started.steps]


def test_codes_without_words_are_painted_from_the_users_words(tmp_path: Path) -> None:
    events = _run(tmp_path, ["<img><img_00012><img_00013></img>"], text="a fox", protocol="seed_llama")
    started = next(e for e in events if isinstance(e, DrawStarted))
    assert started.spec.prompt == "a fox"
    assert _done(events).reply.modality is Modality.IMAGE


def test_words_wanted_paints_nothing(tmp_path: Path) -> None:
    events = _run(tmp_path, [DRAWS], modality=Modality.TEXT)
    assert not any(isinstance(e, DrawStarted) for e in events)


# ---------------------------------------------------------------- two steps
def test_two_steps_keep_both_outputs_and_show_the_second(tmp_path: Path) -> None:
    mllm = ScriptedMllm(["A fox is an animal.", f"Correction: rule 1.\nCorrect Solution:{DRAWS}"])
    events = _run(tmp_path, [], mllm=mllm, two_step=True)
    done = _done(events)
    assert [(p.role, p.p_draw) for p in done.passes] == [("answer", 0.5), ("correction", None)]
    assert done.passes[0].raw == "A fox is an animal."
    assert done.reply.raw == DRAWS
    assert _said(events) == "Here is your fox."
    assert [e for e in events if isinstance(e, Decided)] == [Decided(0.5)]
    assert _shape(events)[:5] == ["reading", "prefilled", "writing", "decided", "correcting"]
    assert [m.role for m in mllm.requests[1].messages] == ["system", "user", "assistant", "user"]
    assert mllm.requests[1].messages[2].text == "A fox is an animal."
    assert mllm.requests[1].decision is None


@pytest.mark.parametrize("second", ["", "  ", "Correction: it is right.", "<draw></draw>"])
def test_the_first_output_stands_if_the_second_is_none(tmp_path: Path, second: str) -> None:
    events = _run(tmp_path, [DRAWS, second], two_step=True)
    assert _done(events).reply.raw == DRAWS
    assert sum(isinstance(e, DrawDone) for e in events) == 1


def test_a_fixed_modality_also_holds_the_second_step(tmp_path: Path) -> None:
    mllm = ScriptedMllm([DRAWS, DRAWS])
    _run(tmp_path, [], mllm=mllm, two_step=True, modality=Modality.IMAGE)
    assert [(r.modality, r.decision is not None) for r in mllm.requests] == [(Modality.IMAGE, True)] * 2


# ---------------------------------------------------------------- translation
def test_the_director_translates_for_a_painter_that_reads_no_chinese(tmp_path: Path) -> None:
    mllm = ScriptedMllm(["<draw>雪地里的红狐狸</draw>画好了。", "A red fox in the snow."])
    events = _run(tmp_path, [], mllm=mllm, text="画一只狐狸", overrides=PaintOverrides(count=2))
    assert [e.spec.prompt for e in events if isinstance(e, DrawStarted)] == ["A red fox in the snow"] * 2
    done = _done(events)
    assert [p.role for p in done.passes] == ["answer", "translation"]
    assert done.reply.say == "画好了。" == _said(events)
    asked = mllm.requests[1]
    assert asked.modality is Modality.TEXT
    assert asked.messages[: len(mllm.requests[0].messages)] == mllm.requests[0].messages
    assert "English" in asked.messages[-1].text and "雪地里的红狐狸" in asked.messages[-1].text


def test_a_painter_of_chinese_needs_no_translation(tmp_path: Path) -> None:
    painter = ScriptedT2I(scripted_info(languages=("en", "zh")))
    done = _done(_run(tmp_path, ["<draw>雪地里的红狐狸</draw>"], painter))
    assert [p.role for p in done.passes] == ["answer"]


# ---------------------------------------------------------------- cancel
def test_cancel_at_every_single_moment(tmp_path: Path) -> None:
    """Whatever question is the first to be answered with "stop", the turn ends with what is there."""
    whole = Clock(10**9)
    _run(tmp_path, [DRAWS], cancelled=whole, overrides=PaintOverrides(count=2))
    for after in range(whole.asked):
        events = _run(tmp_path, [DRAWS], cancelled=Clock(after), overrides=PaintOverrides(count=2))
        done = _done(events)
        assert done.finish == "cancelled", after
        assert DRAWS.startswith(done.reply.raw)
        assert _said(events) == done.reply.say
        assert sum(isinstance(e, DrawDone) for e in events) < 2
        assert done.passes[0].role == "answer"


def test_cancel_at_every_moment_of_two_steps(tmp_path: Path) -> None:
    outputs = ["Some words first.", DRAWS]
    whole = Clock(10**9)
    _run(tmp_path, outputs, cancelled=whole, two_step=True)
    for after in range(whole.asked):
        events = _run(tmp_path, outputs, cancelled=Clock(after), two_step=True)
        done = _done(events)
        assert done.finish == "cancelled", after
        assert _said(events) == done.reply.say
        assert any(output.startswith(done.reply.raw) for output in outputs)


def test_cancel_while_translating(tmp_path: Path) -> None:
    outputs = ["<draw>狐狸</draw>", "a fox in the snow"]
    whole = Clock(10**9)
    _run(tmp_path, outputs, cancelled=whole)
    finishes = {_done(_run(tmp_path, outputs, cancelled=Clock(n))).finish for n in range(whole.asked)}
    assert finishes == {"cancelled"}


def test_pictures_painted_before_a_cancel_stay(tmp_path: Path) -> None:
    painted: list[TurnEvent] = []
    asked = TurnRequest("t", "draw", overrides=PaintOverrides(count=3))
    for event in run_turn(
        asked, mllm=ScriptedMllm([DRAWS]), t2i=ScriptedT2I, protocol=get_protocol("dialoggen"), folder=tmp_path,
        cancelled=lambda: any(isinstance(e, DrawDone) for e in painted),
    ):  # fmt: skip
        painted.append(event)
    assert _done(painted).finish == "cancelled"
    kept = [e for e in painted if isinstance(e, DrawDone)]
    assert len(kept) == 1
    assert Path(kept[0].painted.path).is_file()


def test_a_turn_whose_words_were_complete_is_done(tmp_path: Path) -> None:
    """A stop that comes after the last word changes nothing."""
    said: list[TurnEvent] = []
    asked = TurnRequest("t", "what do foxes eat?")
    for event in run_turn(
        asked, mllm=ScriptedMllm([WORDS], piece=99), t2i=ScriptedT2I, protocol=get_protocol("dialoggen"),
        folder=tmp_path, cancelled=lambda: any(isinstance(e, SayDelta) for e in said),
    ):  # fmt: skip
        said.append(event)
    assert (_done(said).finish, _said(said)) == ("done", WORDS)


def test_a_stop_after_the_words_loads_no_painter(tmp_path: Path) -> None:
    said: list[TurnEvent] = []
    asked = TurnRequest("t", "draw a fox")
    for event in run_turn(
        asked, mllm=ScriptedMllm([DRAWS], piece=999), t2i=lambda: pytest.fail("loaded"), folder=tmp_path,
        protocol=get_protocol("dialoggen"), cancelled=lambda: any(isinstance(e, SayDelta) for e in said),
    ):  # fmt: skip
        said.append(event)
    assert (_done(said).finish, _done(said).reply.raw) == ("cancelled", DRAWS)


def test_a_listener_that_leaves_stops_the_generation(tmp_path: Path) -> None:
    mllm = ScriptedMllm([DRAWS])
    turn = run_turn(
        TurnRequest("t", "draw"), mllm=mllm, t2i=ScriptedT2I, protocol=get_protocol("dialoggen"), folder=tmp_path
    )
    next(turn)
    next(turn)
    assert mllm.generating
    turn.close()  # type: ignore[attr-defined]
    assert not mllm.generating


# ---------------------------------------------------------------- errors
def test_known_errors_pass_untouched(tmp_path: Path) -> None:
    died = WorkerDiedError("The director's process ended; send the message again.")
    with pytest.raises(WorkerDiedError) as caught:
        _run(tmp_path, [], mllm=ScriptedMllm([DRAWS], fault=died, fault_after=2))
    assert caught.value is died


def test_a_fault_of_the_painter_keeps_the_words(tmp_path: Path) -> None:
    full = OutOfMemoryError("The graphics card is full: choose a smaller size.")
    done = _done(_run(tmp_path, [DRAWS], ScriptedT2I(fault=full, fault_at=2)))
    assert (done.finish, done.error, done.reply.raw) == ("failed", str(full), DRAWS)


def test_bugs_are_not_dressed_up(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        _run(tmp_path, [DRAWS], ScriptedT2I(fault=ZeroDivisionError("ours")))


@pytest.mark.parametrize(
    "request_",
    [{"text": ""}, {"text": " \n\t"}, {"seed": -1}, {"mllm_seed": 2**32}, {"overrides": PaintOverrides(count=99)}],
)
def test_input_no_model_can_use_is_refused_before_any_work(tmp_path: Path, request_: dict[str, object]) -> None:
    mllm = ScriptedMllm([DRAWS])
    with pytest.raises(BadInputError, match=r"\.$"):
        _run(tmp_path, [], mllm=mllm, **request_)
    assert mllm.requests == []


def test_a_picture_without_words_is_a_message(tmp_path: Path) -> None:
    assert _done(_run(tmp_path, [WORDS], text="", images=(PICTURE,))).finish == "done"


def test_a_picture_for_a_model_that_cannot_see_is_one_sentence(tmp_path: Path) -> None:
    blind = ScriptedMllm([WORDS])
    blind.info = dataclasses.replace(blind.info, vision=False)
    with pytest.raises(BadInputError, match="cannot see pictures"):
        _run(tmp_path, [], mllm=blind, images=(PICTURE,))


def test_a_size_the_painter_cannot_do_is_told_after_the_words(tmp_path: Path) -> None:
    done = _done(_run(tmp_path, [DRAWS], overrides=PaintOverrides(width=9999, height=9999)))
    assert done.finish == "failed" and "nearest it can do is 128×128" in done.error


@pytest.mark.parametrize("text", ["a" * 1_000_000, "שלום\u202e🦊\x00\x1b[31m", "<draw>x</draw>" * 1000])
def test_odd_text_passes(tmp_path: Path, text: str) -> None:
    mllm = ScriptedMllm([DRAWS])
    assert _done(_run(tmp_path, [], mllm=mllm, text=text)).finish == "done"
    assert "<draw>" not in mllm.requests[0].messages[-1].text


def test_dropped_turns_and_events_reach_the_record(tmp_path: Path) -> None:
    mllm = ScriptedMllm([WORDS], dropped_turns=(0, 1))
    events = _run(tmp_path, [], mllm=mllm)
    assert next(e for e in events if isinstance(e, Prefilled)).dropped_turns == (0, 1)
    done = _done(events)
    assert done.passes[0].dropped_turns == (0, 1)
    assert from_json(TurnDone, to_json(done)) == done
    assert done.reply.segments == (TextSegment(WORDS),)
