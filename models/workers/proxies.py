"""An MLLM and a painter that live in worker processes, behind the same interfaces as real ones.

Knows how their requests and events travel; processes and their deaths are the channel's business.
"""

import contextlib
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.contracts import (
    Cancelled,
    Generated,
    GenerationSpec,
    MllmEvent,
    MllmInfo,
    MllmRequest,
    PaintEvent,
    PromptTokens,
    Step,
    T2IInfo,
    Token,
    from_json,
    to_json,
)
from models.workers.channel import CancelCheck, Channel, Wanted, never
from models.workers.ipc import Frame

_MLLM_EVENT: Any = MllmEvent
_PAINT_EVENT: Any = PaintEvent


class RemoteMllm:
    """`models.mllm.base.Mllm` in a worker. If its process has died, the next call starts it again and reloads."""

    def __init__(self, channel: Channel, wanted: Wanted, info: MllmInfo) -> None:
        self._channel, self._wanted, self._info = channel, wanted, info

    @property
    def info(self) -> MllmInfo:
        """What is loaded and what it can do."""
        return self._info

    def generate(self, request: MllmRequest, cancelled: CancelCheck = never) -> Iterator[MllmEvent]:
        """As `Mllm.generate`; closing the iterator cancels. Raises WorkerDiedError if the process ends."""
        written: list[str] = []
        began = time.monotonic()
        params = {"request": to_json(request)}
        try:
            with contextlib.closing(self._channel.stream(self._wanted, "generate", params, cancelled)) as frames:
                for frame in frames:
                    event: MllmEvent = from_json(_MLLM_EVENT, frame.message["value"])
                    if isinstance(event, Token):
                        written.append(event.text)
                    yield event
        except Cancelled:  # the worker could not stop by itself, or was only being loaded
            yield Generated("".join(written), "cancelled", len(written), 0.0, time.monotonic() - began)

    def count_tokens(self, text: str) -> int:
        """As `Mllm.count_tokens`."""
        return int(self._channel.call(self._wanted, "count_tokens", {"text": text}))


class RemoteT2I:
    """`models.t2i.base.T2I` in a worker. If its process has died, the next call starts it again and reloads."""

    def __init__(self, channel: Channel, wanted: Wanted, info: T2IInfo) -> None:
        self._channel, self._wanted, self._info = channel, wanted, info

    @property
    def info(self) -> T2IInfo:
        """What is loaded, its defaults and its limits."""
        return self._info

    def measure(self, prompt: str) -> PromptTokens:
        """As `T2I.measure`."""
        return from_json(PromptTokens, self._channel.call(self._wanted, "measure", {"prompt": prompt}))

    def paint(self, spec: GenerationSpec, folder: Path, cancelled: CancelCheck = never) -> Iterator[PaintEvent]:
        """As `T2I.paint`; closing the iterator cancels. Raises WorkerDiedError if the process ends."""
        params = {"spec": to_json(spec), "folder": str(Path(folder).absolute())}
        with contextlib.closing(self._channel.stream(self._wanted, "paint", params, cancelled)) as frames:
            yield from _paint_events(frames)


def _paint_events(frames: Generator[Frame, None, Any]) -> Iterator[PaintEvent]:
    for frame in frames:
        event: PaintEvent = from_json(_PAINT_EVENT, frame.message["value"])
        yield replace(event, preview=frame.payload) if isinstance(event, Step) and frame.payload else event
