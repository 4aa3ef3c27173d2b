"""The two models as the title bar shows them: who sits there, and whether it sleeps, loads, works or fails.

Learns from the engine's stages and events; knows neither workers nor widgets.
"""

from PySide6.QtCore import QObject, Signal

from desktop.engine import EngineEvent, TurnFinished
from models.contracts import ModelRef, TurnStage

KINDS = ("mllm", "t2i")
_STAGES = {
    "loading_mllm": ("mllm", "loading"),
    "reading": ("mllm", "busy"),
    "writing": ("mllm", "busy"),
    "correcting": ("mllm", "busy"),
    "loading_t2i": ("t2i", "loading"),
    "painting": ("t2i", "busy"),
}


class Chairs(QObject):
    """State and name per kind ("mllm", "t2i"). States: "asleep" | "loading" | "ready" | "busy" | "problem"."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.names = dict.fromkeys(KINDS, "")
        self.states = dict.fromkeys(KINDS, "asleep")

    def named(self, kind: str, name: str) -> None:
        """Who sits in a chair."""
        if name and self.names[kind] != name:
            self.names[kind] = name
            self.changed.emit()

    def stage(self, stage: str) -> None:
        """A stage of waking up or of a turn: one model works, the other rests. "ready": both rest."""
        kind, state = _STAGES.get(stage, ("", ""))
        states = {k: "ready" if s in ("loading", "busy") else s for k, s in self.states.items()}
        if kind:
            states[kind] = state
        if states != self.states:
            self.states = states
            self.changed.emit()

    def problem(self) -> None:
        """Whatever was being loaded could not be."""
        self.states = {k: "problem" if s == "loading" else s for k, s in self.states.items()}
        self.changed.emit()

    def apply(self, event: EngineEvent) -> None:
        """Learn from an event of a turn."""
        if isinstance(event, TurnStage):
            self.stage(event.stage)
        elif isinstance(event, TurnFinished):
            self._finished(event)

    def _finished(self, event: TurnFinished) -> None:
        if event.turn.state == "failed":
            self.states = {k: "asleep" if s in ("loading", "busy") else s for k, s in self.states.items()}
        self.stage("ready")
        for kind, model in (("mllm", event.turn.mllm), ("t2i", event.turn.t2i)):
            if isinstance(model, ModelRef):
                self.named(kind, model.name)
        self.changed.emit()
