"""PNG files as chunks: text in, text out, the pixels untouched. Knows nothing of recipes.

Chunks are copied rather than the picture encoded again: the painter's bytes stay as they are, and the same pixels with
the same text always give the same file. Format: PNG specification (ISO/IEC 15948), sections 5 and 11.3.4.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXT_LIMIT = 16 << 20
"""Bytes of one text chunk, unpacked, that are still read: a foreign file must not fill the memory."""

# Left out of a copy: other texts, and anything that carries a date.
_NOT_COPIED = {b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf"}


def with_text(data: bytes, texts: Mapping[str, str]) -> bytes:
    """The PNG `data` with `texts` (keyword → text) as its only texts, in iTXt chunks before the pixels.

    Raises ValueError if `data` is not a whole PNG file.
    """
    parts = [SIGNATURE]
    for kind, body in _chunks(data):
        if kind not in _NOT_COPIED:
            parts.append(_chunk(kind, body))
        if kind == b"IHDR":
            parts += [_chunk(b"iTXt", _itxt(keyword, text)) for keyword, text in texts.items()]
    return b"".join(parts)


def check(data: bytes) -> None:
    """Raises ValueError if `data` is not a PNG file with all its chunks whole."""
    for _ in _chunks(data):
        pass


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height in pixels. Raises ValueError if `data` is not a PNG file."""
    if data[:8] != SIGNATURE or data[12:16] != b"IHDR":
        raise ValueError("not a PNG file")
    return struct.unpack(">II", data[16:24])  # type: ignore[return-value]


def read_texts(path: Path) -> dict[str, str]:
    """Keyword → text of every text chunk (tEXt, zTXt, iTXt); empty if the file is no PNG or is broken there.

    Raises OSError if the file cannot be read.
    """
    texts: dict[str, str] = {}
    with path.open("rb") as file:
        if file.read(8) == SIGNATURE:
            for kind, body in _text_chunks(file):
                keyword, text = _read_text(kind, body)
                if text is not None:
                    texts.setdefault(keyword, text)
    return texts


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if data[:8] != SIGNATURE:
        raise ValueError("not a PNG file")
    at = 8
    while True:
        if at + 12 > len(data):
            raise ValueError("the PNG file is cut short")
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body, check = data[at + 8 : at + 8 + length], data[at + 8 + length : at + 12 + length]
        if len(check) < 4 or struct.unpack(">I", check)[0] != zlib.crc32(kind + body):
            raise ValueError("the PNG file is damaged")
        yield kind, body
        if kind == b"IEND":
            return
        at += 12 + length


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _itxt(keyword: str, text: str) -> bytes:
    """Not compressed, no language: readable with any tool. NUL is not allowed in PNG text."""
    return keyword.encode("latin-1") + b"\0\0\0\0\0" + text.replace("\0", "").encode("utf-8", "replace")


def _text_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IEND":
            return
        if kind in (b"tEXt", b"zTXt", b"iTXt") and length <= _TEXT_LIMIT:
            yield kind, file.read(length)
            file.seek(4, 1)
        else:
            file.seek(length + 4, 1)


def _read_text(kind: bytes, body: bytes) -> tuple[str, str | None]:
    keyword, _, rest = body.partition(b"\0")
    packed = kind == b"zTXt"
    if kind == b"iTXt":
        packed = rest[:1] == b"\1"
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]  # language and translated keyword
    elif packed:
        rest = rest[1:]
    raw = _unpacked(rest) if packed else rest
    text = None if raw is None else raw.decode("utf-8" if kind == b"iTXt" else "latin-1", "replace")
    return keyword.decode("latin-1"), text


def _unpacked(data: bytes) -> bytes | None:
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(data, _TEXT_LIMIT)
    except zlib.error:
        return None
    return None if reader.unconsumed_tail else text
