"""The running turn, put together from engine events as they arrive. Knows neither Qt nor the store."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from desktop.engine import EngineEvent, PictureStored
from desktop.store.records import PictureRecord, TurnRecord
from models.contracts import (
    AdapterStep,
    Decided,
    DrawDone,
    DrawStarted,
    DrawStep,
    GenerationSpec,
    Prefilled,
    PromptTokens,
    SayDelta,
    Step,
    TurnStage,
)


@dataclass
class LiveSlot:
    """One picture of the running turn."""

    slot: int
    spec: GenerationSpec
    steps: tuple[AdapterStep, ...]
    tokens: PromptTokens
    started: float
    index: int = 0
    total: int = 0
    preview: bytes | None = None
    picture: PictureRecord | None = None
    first_step: float | None = None
    latest_step: float = 0.0

    def progress(self) -> float:
        """0..1."""
        return self.index / self.total if self.total else 0.0

    def seconds_left(self, now: float) -> float | None:
        """Seconds until the last step, from the pace of the steps so far; None until two steps are done."""
        if self.first_step is None or self.index < 2:
            return None
        pace = (self.latest_step - self.first_step) / (self.index - 1)
        return max(0.0, pace * (self.total - self.index) - (now - self.latest_step))

    def step(self, step: Step, now: float) -> None:
        """Take one denoising step; a preview stays until the next one replaces it."""
        self.index, self.total = step.index, step.total
        self.preview = step.preview or self.preview
        self.latest_step = now
        if self.first_step is None:
            self.first_step = now


@dataclass
class LiveTurn:
    """What is known so far about the turn that runs."""

    turn: TurnRecord
    clock: Callable[[], float] = time.monotonic
    stage: str = "reading"
    said: str = ""
    p_draw: float | None = None
    dropped_turns: tuple[int, ...] = ()
    slots: dict[int, LiveSlot] = field(default_factory=dict)

    def apply(self, event: EngineEvent) -> None:
        """Take one event; events that say nothing about the running turn are ignored."""
        match event:
            case TurnStage(stage=stage):
                self.stage = stage
            case Prefilled(dropped_turns=dropped):
                self.dropped_turns = dropped
            case Decided(p_draw=p_draw):
                self.p_draw = p_draw
            case SayDelta(text=text):
                self.said += text
            case _:
                self._draw(event)

    def _draw(self, event: EngineEvent) -> None:
        match event:
            case DrawStarted(slot=slot, spec=spec, steps=steps, tokens=tokens):
                self.slots[slot] = LiveSlot(slot, spec, steps, tokens, self.clock(), total=spec.steps)
            case DrawStep(slot=slot, step=step) if slot in self.slots:
                self.slots[slot].step(step, self.clock())
            case DrawDone(slot=slot, painted=painted) if slot in self.slots:
                self.slots[slot].spec = painted.spec
            case PictureStored(slot=slot, picture=picture) if slot in self.slots:
                self.slots[slot].picture = picture

    def painting(self) -> LiveSlot | None:
        """The slot that is being painted now, if any."""
        return next((s for s in self.slots.values() if s.picture is None), None)
