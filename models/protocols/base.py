"""What a protocol is: how a conversation is put to an MLLM, and how its output is read back.

Knows neither how text is generated nor how pictures are painted.
"""

from typing import Protocol as TypingProtocol

from models.contracts import Decision, Message, PastTurn, Reply, TurnRequest


class StreamParser(TypingProtocol):
    """Reads raw output as it streams. Any split into chunks gives the same reply, and no tag is ever visible."""

    def feed(self, chunk: str) -> str:
        """Take raw output, return the visible words that are certain by now (possibly "")."""

    def finish(self) -> tuple[str, Reply]:
        """End of output: the remaining visible words, and the whole reply."""


class ModelProtocol(TypingProtocol):
    """One spelling of "words or picture": DialogGen, Mini-DALLE3, SEED-LLaMA, NExT-GPT."""

    name: str
    decision: Decision
    stop: tuple[str, ...]

    def messages(self, request: TurnRequest, vision: bool) -> tuple[Message, ...]:
        """System part, history and the user's message. Tags typed by the user are made harmless.

        Must be stable from turn to turn (same prefix for the same past), or the prefix cache is lost.
        """

    def correction(self, request: TurnRequest, first: Reply, vision: bool) -> tuple[Message, ...]:
        """The second step of two-step inference (DialogGen §5.2, equation 4)."""

    def parser(self) -> StreamParser:
        """A fresh parser for one reply."""

    def past(self, turn: PastTurn) -> str:
        """The assistant's side of a past turn, as this protocol spells it: a session survives a change of model."""
