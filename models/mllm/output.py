"""Token pieces to text as it streams: whole characters only, held back where a stop string might begin.

Knows no tokens and no model, only bytes.
"""

import codecs
from collections.abc import Sequence


class OutputText:
    """The raw output of one generation."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [text for text in stop if text]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._raw: list[str] = []
        self.stopped = False
        """A stop string has come; it and what follows are not part of the output."""

    @property
    def raw(self) -> str:
        """What was let through so far."""
        return "".join(self._raw)

    def feed(self, piece: bytes) -> str:
        """Take a token's bytes, return the text that is certain by now (possibly "")."""
        return "" if self.stopped else self._let_through(self._decoder.decode(piece))

    def finish(self) -> str:
        """The end: what was held back, unless a stop string has come. A broken last character becomes U+FFFD."""
        if self.stopped:
            return ""
        text = self._let_through(self._decoder.decode(b"", final=True))
        rest, self._held = ("", "") if self.stopped else (self._held, "")
        self._raw.append(rest)
        return text + rest

    def _let_through(self, text: str) -> str:
        text = self._held + text
        found = [at for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            text, self._held = text[: min(found)], ""
        else:
            keep = max((_overlap(text, stop) for stop in self._stop), default=0)
            text, self._held = text[: len(text) - keep], text[len(text) - keep :]
        self._raw.append(text)
        return text


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that `stop` begins with."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
