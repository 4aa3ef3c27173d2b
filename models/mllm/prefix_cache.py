"""What is in the KV cache, so that nothing in it is evaluated twice: text tokens one by one, pictures as wholes.

A conversation is a list of cells. A new prompt keeps the longest common beginning, drops the rest, and evaluates only
what is new; that serves the next turn, an edited message and a branch alike. Knows neither messages nor sampling.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from models.contracts import Cancelled, ImageRef
from models.mllm.native import BRANCH, MAIN, NativeModel
from models.mllm.prompt import Cell
from models.mllm.vision import PicturePiece, Vision


class PrefixCache:
    """Mirrors sequence MAIN of a model's KV cache. Whatever fails or is cancelled, mirror and cache stay equal."""

    def __init__(self, model: NativeModel, vision: Vision | None) -> None:
        """For a model whose KV cache is empty."""
        self._model, self._vision, self._batch = model, vision, model.reading_batch
        self._cells: list[Cell] = []
        self._ends: list[int] = []

    @property
    def cells(self) -> tuple[Cell, ...]:
        """What is in the cache now."""
        return tuple(self._cells)

    @property
    def tokens(self) -> int:
        """Cells taken in the KV cache."""
        return sum(1 if isinstance(cell, int) else cell.tokens for cell in self._cells)

    def reuse(self, wanted: Sequence[Cell]) -> int:
        """Keep what `wanted` begins with, drop the rest. Returns the KV cells that stay.

        The last cell is always evaluated again, because its logits are needed.
        """
        most = min(len(self._cells), len(wanted) - 1)
        common = next((i for i in range(most) if self._cells[i] != wanted[i]), most)
        self._cut(common)
        return self.tokens

    def advance(self, wanted: Sequence[Cell], pictures: dict[str, ImageRef], cancelled: Callable[[], bool]) -> None:
        """Evaluate the cells of `wanted` that are not there yet; the logits of the last are kept by the model.

        Raises Cancelled between two batches; what was evaluated by then stays.
        """
        while len(self._cells) < len(wanted):
            if cancelled():
                raise Cancelled
            at = len(self._cells)
            cell = wanted[at]
            if isinstance(cell, PicturePiece):
                self._see(cell, pictures[cell.sha256], cancelled)
            else:
                run = _run_of_tokens(wanted, at, self._batch)
                self._read(run, last=at + len(run) == len(wanted))

    def append(self, token: int) -> None:
        """Evaluate one written token; its logits are kept by the model."""
        self._read([token], last=True)

    def peek(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Logits after `tokens`, were they written next. The cache stays as it is. Shape [n_vocab]."""
        self._model.branch()
        try:
            self._model.decode(tokens, self._position, BRANCH, logits=True)
            return self._model.logits()
        finally:
            self._model.forget(-1, BRANCH)

    @property
    def _position(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _read(self, tokens: list[int], last: bool) -> None:
        start = self._position
        with _Undo(self):
            self._model.decode(tokens, start, MAIN, logits=last)
        self._cells += tokens
        self._ends += range(start + 1, start + 1 + len(tokens))

    def _see(self, piece: PicturePiece, ref: ImageRef, cancelled: Callable[[], bool]) -> None:
        assert self._vision is not None
        with _Undo(self):
            self._vision.decode(piece, ref, self._position, cancelled)
        self._ends.append(self._position + piece.positions)
        self._cells.append(piece)

    def _cut(self, length: int, force: bool = False) -> None:
        """Drop all cells from `length` on; everything, if this model's memory cannot be cut."""
        if length == len(self._cells) and not force:
            return
        del self._cells[length:], self._ends[length:]
        if not self._model.forget(self._position):
            self._model.clear()
            self._cells.clear()
            self._ends.clear()


class _Undo:
    """Takes a half-evaluated batch out of the KV cache again if an error or a cancel interrupts it."""

    def __init__(self, cache: PrefixCache) -> None:
        self._cache = cache

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._cache._cut(len(self._cache._cells), force=True)


def _run_of_tokens(cells: Sequence[Cell], at: int, most: int) -> list[int]:
    run: list[int] = []
    for cell in cells[at : at + most]:
        if isinstance(cell, PicturePiece):
            break
        run.append(cell)
    return run
