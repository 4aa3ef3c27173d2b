"""The painter's interface. Knows nothing of conversations: it turns a GenerationSpec into a picture file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from models.contracts import GenerationSpec, PaintEvent, PromptTokens, T2IInfo

CancelCheck = Callable[[], bool]
"""Returns True once the user has asked to stop; asked before every step and before decoding."""


class T2I(Protocol):
    """A loaded pipeline. Not thread-safe: one owner thread, one picture at a time."""

    @property
    def info(self) -> T2IInfo:
        """What is loaded, its defaults and its limits."""

    def measure(self, prompt: str) -> PromptTokens:
        """The prompt cut at the text encoder's limit, in its own tokens."""

    def paint(self, spec: GenerationSpec, folder: Path, cancelled: CancelCheck = lambda: False) -> Iterator[PaintEvent]:
        """Yield a Step after every denoising step, then Painted with a PNG (no metadata yet) inside `folder`.

        Raises Cancelled if asked to stop, BadInputError for a size, seed or scheduler the pipeline cannot do,
        OutOfMemoryError when the device is full. Zero-valued or empty fields are refused, not guessed: the adapter
        fills in the defaults.
        """
