"""Frames: how the processes of Limner talk over a pipe. A JSON object, and bytes beside it; never pickle.

    magic "LMNR" | version u16 | JSON length u32 | payload length u32 | JSON (ASCII) | payload        (little-endian)

Knows nothing of models or of what the messages mean.
"""

import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAGIC = b"LMNR"
VERSION = 1
MAX_JSON = 64 * 2**20
"""Bytes; a megabyte of Chinese text is six as ASCII JSON, and a long history has several."""
MAX_PAYLOAD = 64 * 2**20
"""Bytes; previews are a few kilobytes."""

_HEAD = struct.Struct("<4sHII")
_READ = 1 << 16


class FrameError(Exception):
    """The stream is not what `encode` writes: a foreign print in the pipe, a cut frame, another version."""


@dataclass(frozen=True)
class Frame:
    """One message: a JSON object and the bytes that travel with it."""

    message: dict[str, Any]
    payload: bytes = b""


def encode(frame: Frame) -> bytes:
    """The frame as it goes over the pipe. Raises FrameError if it is larger than a reader would take."""
    text = json.dumps(frame.message, separators=(",", ":")).encode("ascii")
    if len(text) > MAX_JSON or len(frame.payload) > MAX_PAYLOAD:
        raise FrameError(f"a message of {len(text)} + {len(frame.payload)} bytes is too large to send")
    return _HEAD.pack(MAGIC, VERSION, len(text), len(frame.payload)) + text + frame.payload


class FrameDecoder:
    """Puts a byte stream back into frames, however it was cut into pieces.

    Holds no more than the bytes that really came, so that a damaged length cannot make it allocate.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.broken = ""
        """Why nothing more can be read, or "" while all is well."""

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes, return the frames they complete.

        Raises FrameError at the first byte that cannot belong to a frame. Frames that were whole before it are returned
        first (`broken` is set, and the next call raises).
        """
        if self.broken:
            raise FrameError(self.broken)
        self._buffer += data
        frames = []
        try:
            while (frame := self._take()) is not None:
                frames.append(frame)
        except FrameError as error:
            self.broken = str(error)
            if not frames:
                raise
        return frames

    @property
    def empty(self) -> bool:
        """True between frames: an end of stream here is clean."""
        return not self._buffer and not self.broken

    def _take(self) -> Frame | None:
        buffer = self._buffer
        if not MAGIC.startswith(bytes(buffer[:4])) and not buffer.startswith(MAGIC):
            raise FrameError(f"expected a frame, got {bytes(buffer[:16])!r}")
        if len(buffer) < _HEAD.size:
            return None
        _, version, text_length, payload_length = _HEAD.unpack_from(buffer)
        _check_head(version, text_length, payload_length)
        end = _HEAD.size + text_length + payload_length
        if len(buffer) < end:
            return None
        text = bytes(buffer[_HEAD.size : _HEAD.size + text_length])
        payload = bytes(buffer[_HEAD.size + text_length : end])
        del buffer[:end]
        return Frame(_parse(text), payload)


def _check_head(version: int, text_length: int, payload_length: int) -> None:
    if version != VERSION:
        raise FrameError(f"frame version {version}, expected {VERSION}")
    if text_length > MAX_JSON or payload_length > MAX_PAYLOAD:
        raise FrameError(f"a frame claims {text_length} + {payload_length} bytes")


def _parse(text: bytes) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a frame's JSON cannot be read: {error}") from None
    if not isinstance(message, dict):
        raise FrameError("a frame's JSON is not an object")
    return message


def read_frames(descriptor: int) -> Iterator[Frame]:
    """Frames from a file descriptor until the other end closes it.

    Raises FrameError if the stream is damaged or ends in the middle of a frame.
    """
    decoder = FrameDecoder()
    while data := os.read(descriptor, _READ):
        yield from decoder.feed(data)
        if decoder.broken:
            raise FrameError(decoder.broken)
    if not decoder.empty:
        raise FrameError("the stream ended in the middle of a frame")


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte to a file descriptor. Raises OSError (BrokenPipeError) if nobody reads it any more."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
