"""One turn: MLLM → protocol → router → adapter → T2I, as a stream of events. Knows no store, screen or process.

The words are finished before the first picture begins: on one device the two models would only slow each other down.
"""

import dataclasses
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TypeVar

from models.adapter import LANGUAGE_NAMES, adapt
from models.contracts import (
    BadInputError,
    Cancelled,
    Decided,
    DrawDone,
    DrawStarted,
    DrawStep,
    Generated,
    KnownError,
    Message,
    MllmEvent,
    MllmPass,
    MllmRequest,
    Modality,
    ModelRef,
    Painted,
    Prefilled,
    Reply,
    SayDelta,
    Timings,
    Token,
    TurnDone,
    TurnEvent,
    TurnRequest,
    TurnStage,
)
from models.mllm.base import Mllm
from models.protocols.base import ModelProtocol, StreamParser
from models.protocols.tagged import prompt_text, split_correction
from models.router import Slot, check_count, slots
from models.seeds import check_seed
from models.t2i.base import T2I

CancelCheck = Callable[[], bool]
Item = TypeVar("Item")


def run_turn(
    request: TurnRequest,
    *,
    mllm: Mllm,
    t2i: Callable[[], T2I],
    protocol: ModelProtocol,
    folder: Path,
    cancelled: CancelCheck = lambda: False,
) -> Iterator[TurnEvent]:
    """Run a turn; the last event is TurnDone, also on cancel (finish "cancelled", with what is there by then).

    Order: TurnStage("reading"), Prefilled, TurnStage("writing"), Decided, SayDelta…, with `two_step`
    TurnStage("correcting") and again; then for each picture DrawStarted, DrawStep…, DrawDone, the first of them after
    TurnStage("loading_t2i"). `t2i()` is called once, and only if something is drawn. Pictures are written to `folder`.
    A known error after the words are written ends the turn as finish "failed" with its sentence, so that the words
    are kept; before, KnownError is raised as the models raise it, and BadInputError for input no model can use.
    """
    _check(request, mllm)
    return _Turn(request, mllm, t2i, protocol, folder, cancelled).run()


def _check(request: TurnRequest, mllm: Mllm) -> None:
    check_seed(request.seed)
    check_seed(request.mllm_seed)
    check_count(request.overrides.count)
    if not request.text.strip() and not request.images:
        raise BadInputError("There is nothing to answer yet: write a few words or attach a picture.")
    if request.images and not mllm.info.vision:
        name = mllm.info.model.name
        raise BadInputError(f"{name} cannot see pictures: take the picture out, or choose a model with vision.")


class _Stopwatch:
    """Adds up the time spent inside iterators, not the time their consumer takes."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def over(self, items: Iterator[Item]) -> Iterator[Item]:
        while True:
            begin = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - begin
            yield item


@dataclasses.dataclass
class _Log:
    """What a pass of the MLLM told about itself."""

    role: str
    prefilled: Prefilled | None = None
    p_draw: float | None = None
    generated: Generated | None = None

    def take(self, event: MllmEvent) -> None:
        if isinstance(event, Prefilled):
            self.prefilled = event
        elif isinstance(event, Decided):
            self.p_draw = event.p_draw
        elif isinstance(event, Generated):
            self.generated = event

    def done(self) -> MllmPass:
        prefilled = self.prefilled or Prefilled(0, 0, 0.0)
        end = self.generated or Generated("", "cancelled", 0, 0.0, 0.0)
        return MllmPass(
            role=self.role,
            raw=end.raw,
            p_draw=self.p_draw,
            tokens_in=prefilled.tokens,
            tokens_reused=prefilled.reused,
            tokens_out=end.tokens,
            first_token_s=end.first_token_s,
            seconds=end.seconds,
            finish=end.finish,
            dropped_turns=prefilled.dropped_turns,
        )


class _Turn:
    """A turn under way: what has been written and measured so far."""

    def __init__(
        self,
        request: TurnRequest,
        mllm: Mllm,
        t2i: Callable[[], T2I],
        protocol: ModelProtocol,
        folder: Path,
        cancelled: CancelCheck,
    ) -> None:
        self.request, self.mllm, self.protocol = request, mllm, protocol
        self.load_t2i, self.folder, self.cancelled = t2i, folder, cancelled
        self.begin = time.perf_counter()
        self.mllm_time, self.t2i_time = _Stopwatch(), _Stopwatch()
        self.first_token_s = 0.0
        self.reply = Reply("", ())
        self.p_draw: float | None = None
        self.passes: list[MllmPass] = []
        self.painter: ModelRef | None = None
        self.translations: dict[str, str] = {}

    def run(self) -> Iterator[TurnEvent]:
        finish, fault = "done", ""
        try:
            yield TurnStage("reading")
            yield from self._write()
            yield from self._paint()
        except Cancelled:
            finish = "cancelled"
        except KnownError as error:
            if not self.passes:
                raise
            finish, fault = "failed", str(error)
        yield self._done(finish, fault)

    # ------------------------------------------------------------ words
    def _write(self) -> Iterator[TurnEvent]:
        """The director's answer; with two steps its words are shown once, when it is known which they are."""
        messages = self.protocol.messages(self.request, self.mllm.info.vision)
        if not self.request.two_step:
            self.reply = yield from self._pass("answer", messages, show=True)
            if self.passes[-1].finish == "cancelled":
                raise Cancelled
            return
        self.reply = yield from self._pass("answer", messages, show=False)
        if not self._is_cancelled():
            yield from self._correct(self.reply)
        if self.reply.say:
            yield SayDelta(self.reply.say)
        self._stop_if_cancelled()

    def _correct(self, first: Reply) -> Iterator[TurnEvent]:
        """DialogGen §5.2, equation 4: r_1 goes back with P_c, and r_2 is the output, if there is any."""
        yield TurnStage("correcting")
        messages = self.protocol.correction(self.request, first, self.mllm.info.vision)
        whole = yield from self._pass("correction", messages, show=False)
        second = self._read(split_correction(whole.raw)[1])
        if second.segments and not self._is_cancelled():
            self.reply = second

    def _pass(self, role: str, messages: tuple[Message, ...], show: bool) -> Generator[TurnEvent, None, Reply]:
        """One generation, recorded in `self.passes`; returns the parsed output, also of one that was cancelled."""
        parser = self.protocol.parser()
        log = _Log(role)
        events = self.mllm.generate(self._mllm_request(role, messages), self.cancelled)
        for event in self.mllm_time.over(events):
            log.take(event)
            if not isinstance(event, Token):
                yield from self._news(role, event)
            elif (words := self._token(parser, event)) and show:
                yield SayDelta(words)
        rest, reply = parser.finish()
        self.passes.append(log.done())
        if rest and show:
            yield SayDelta(rest)
        return reply

    def _token(self, parser: StreamParser, token: Token) -> str:
        self.first_token_s = self.first_token_s or time.perf_counter() - self.begin
        return parser.feed(token.text)

    def _news(self, role: str, event: MllmEvent) -> Iterator[TurnEvent]:
        """What a listener learns of a pass besides words: only of the answer; the others are in the record."""
        if role == "answer" and isinstance(event, Prefilled):
            yield event
            yield TurnStage("writing")
        elif role == "answer" and isinstance(event, Decided):
            self.p_draw = event.p_draw
            yield event

    def _mllm_request(self, role: str, messages: tuple[Message, ...]) -> MllmRequest:
        """A correction is free to begin with words about the output, unless the user has fixed the modality."""
        modality = Modality.TEXT if role == "translation" else self.request.modality
        free = role == "correction" and modality is Modality.AUTO
        return MllmRequest(
            messages=messages,
            sampling=dataclasses.replace(self.mllm.info.sampling, seed=self.request.mllm_seed),
            decision=None if free else self.protocol.decision,
            modality=modality,
            stop=self.protocol.stop,
        )

    def _read(self, raw: str) -> Reply:
        parser = self.protocol.parser()
        parser.feed(raw)
        return parser.finish()[1]

    # ------------------------------------------------------------ pictures
    def _paint(self) -> Iterator[TurnEvent]:
        painter: T2I | None = None
        for slot in slots(self.reply, self.request):
            self._stop_if_cancelled()
            if painter is None:
                yield TurnStage("loading_t2i")
                painter = self.load_t2i()
                self.painter = painter.info.model
            yield TurnStage("painting")
            yield from self._paint_slot(painter, slot)

    def _paint_slot(self, painter: T2I, slot: Slot) -> Iterator[TurnEvent]:
        number = slot.number
        made = adapt(slot.segment, self.request, painter.info, painter.measure, slot=number, translate=self._translate)
        self._stop_if_cancelled()
        yield DrawStarted(number, made.spec, made.steps, made.tokens)
        for event in self.t2i_time.over(painter.paint(made.spec, self.folder, self.cancelled)):
            if isinstance(event, Painted):
                yield DrawDone(number, event, made.steps, made.tokens)
            else:
                yield DrawStep(number, event)

    def _translate(self, text: str, source: str, target: str) -> str:
        """A further pass of the director, once for each prompt. It goes on from the turn's own messages, so that the
        conversation stays in the prefix cache."""
        if text not in self.translations:
            asked = prompt_text("translate.txt").format(language=LANGUAGE_NAMES.get(target, target), text=text)
            turn = len(self.request.history)
            messages = (
                *self.protocol.messages(self.request, self.mllm.info.vision),
                Message("assistant", self.reply.raw, turn=turn),
                Message("user", asked, turn=turn),
            )
            reply = _result(self._pass("translation", messages, show=False))
            self._stop_if_cancelled()
            self.translations[text] = reply.say or "".join(d.prompt for d in reply.draws[:1])
        return self.translations[text]

    # ------------------------------------------------------------ end
    def _is_cancelled(self) -> bool:
        return bool(self.passes and self.passes[-1].finish == "cancelled") or self.cancelled()

    def _stop_if_cancelled(self) -> None:
        if self._is_cancelled():
            raise Cancelled

    def _done(self, finish: str, error: str) -> TurnDone:
        timings = Timings(
            first_token_s=self.first_token_s,
            mllm_s=self.mllm_time.seconds,
            t2i_s=self.t2i_time.seconds,
            total_s=time.perf_counter() - self.begin,
        )
        return TurnDone(
            reply=self.reply,
            p_draw=self.p_draw,
            passes=tuple(self.passes),
            timings=timings,
            protocol=self.protocol.name,
            mllm=self.mllm.info.model,
            t2i=self.painter,
            finish=finish,
            error=error,
        )


def _result(steps: Generator[TurnEvent, None, Reply]) -> Reply:
    """Run a pass whose events nobody listens to."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
