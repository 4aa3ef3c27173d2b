"""A scripted MLLM that provokes faults in tests: odd splits, a cancel in mid-word, a worker that dies. Thinks nothing.

Never used by the app; everything that can be shown with a real model is tested with one.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from models.contracts import (
    Decided,
    Generated,
    MllmEvent,
    MllmInfo,
    MllmRequest,
    ModelRef,
    Prefilled,
    Sampling,
    Token,
)
from models.mllm.base import CancelCheck


@dataclass
class ScriptedMllm:
    """Answers request number n with `outputs[n]`, in pieces of `piece` characters.

    `fault` is raised after `fault_after` pieces of the answer. `requests` keeps what was asked. Cancel is checked
    before the prefill and before every piece, as the interface demands.
    """

    outputs: Sequence[str]
    piece: int = 3
    p_draw: float = 0.5
    fault: Exception | None = None
    fault_after: int = 0
    dropped_turns: tuple[int, ...] = ()
    info: MllmInfo = MllmInfo(ModelRef("scripted", "0" * 64), "dialoggen", True, 4096, Sampling(max_tokens=64))
    requests: list[MllmRequest] = field(default_factory=list)
    generating: bool = False

    def generate(self, request: MllmRequest, cancelled: CancelCheck = lambda: False) -> Iterator[MllmEvent]:
        """The events of one generation, as `Mllm.generate` describes them."""
        self.generating = True
        try:
            yield from self._events(request, cancelled)
        finally:
            self.generating = False

    def _events(self, request: MllmRequest, cancelled: CancelCheck) -> Iterator[MllmEvent]:
        begin = time.perf_counter()
        raw = self.outputs[len(self.requests)]
        self.requests.append(request)
        if cancelled():
            yield Generated("", "cancelled", 0, 0.0, time.perf_counter() - begin)
            return
        yield Prefilled(sum(self.count_tokens(m.text) for m in request.messages), 0, 0.0, self.dropped_turns)
        if request.decision:
            yield Decided(self.p_draw)
        written, first = "", 0.0
        for index, at in enumerate(range(0, len(raw), self.piece)):
            if self.fault is not None and index >= self.fault_after:
                raise self.fault
            if cancelled():
                break
            first = first or time.perf_counter() - begin
            written += raw[at : at + self.piece]
            yield Token(raw[at : at + self.piece])
        finish = "stop" if written == raw else "cancelled"
        yield Generated(written, finish, self.count_tokens(written), first, time.perf_counter() - begin)

    def count_tokens(self, text: str) -> int:
        """Words."""
        return len(text.split())
