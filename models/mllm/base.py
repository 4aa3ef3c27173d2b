"""The director's interface. Knows no protocol, no adapter, no painter: it turns messages into raw text and P(draw)."""

from collections.abc import Callable, Iterator
from typing import Protocol

from models.contracts import MllmEvent, MllmInfo, MllmRequest

CancelCheck = Callable[[], bool]
"""Returns True once the user has asked to stop; asked before every prefill batch and every token."""


class Mllm(Protocol):
    """A loaded MLLM. Not thread-safe: one owner thread, one generation at a time."""

    @property
    def info(self) -> MllmInfo:
        """What is loaded and what it can do."""

    def generate(self, request: MllmRequest, cancelled: CancelCheck = lambda: False) -> Iterator[MllmEvent]:
        """Yield Prefilled, then Decided (if `request.decision`), then Tokens, then Generated.

        A cancel ends the stream with Generated(finish="cancelled") and what was written so far. Raises KnownError for
        input that cannot be used (a picture for a model without vision, a single message larger than the context).
        """

    def count_tokens(self, text: str) -> int:
        """Tokens of a text in this model's vocabulary, without template or specials."""
