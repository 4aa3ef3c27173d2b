"""Reads what a GGUF file says about itself: metadata, tensor names and shapes. Never reads weights.

A parser of our own because the registry looks at many files while the window waits: the gguf package imports numpy and
builds an array for every token of the vocabulary. Knows the container (versions 2 and 3, little-endian); which models
fit together is the registry's to say.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from models.contracts import BadModelError

MAGIC = b"GGUF"
MAX_COUNT = 1_000_000
"""More key-value pairs or tensors than this means a damaged file."""
MAX_KEPT_ARRAY = 256
"""Longer arrays (vocabularies, merges) are summed up, not kept."""

_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_CODECS = {kind: struct.Struct("<" + code) for kind, code in _SCALARS.items()}
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")

# GGML type → (weights per block, bytes per block); from ggml's type table. Types not listed are not checked for extent.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18),
}  # fmt: skip


@dataclass(frozen=True)
class LongArray:
    """Stands for an array that was walked over and not kept."""

    length: int


@dataclass(frozen=True)
class GgufTensor:
    """One tensor's entry. `shape` is in GGML order (fastest axis first); `offset` counts from the data section."""

    shape: tuple[int, ...]
    ggml_type: int
    offset: int

    @property
    def nbytes(self) -> int | None:
        """Bytes of the tensor, None for a type this reader does not know."""
        block = _BLOCKS.get(self.ggml_type)
        if block is None:
            return None
        count = 1
        for side in self.shape:
            count *= side
        return count // block[0] * block[1]


@dataclass(frozen=True)
class GgufHeader:
    """All a GGUF says before its weights. `kv` values are str, int, float, bool, list or LongArray."""

    path: str
    version: int
    kv: dict[str, Any]
    tensors: dict[str, GgufTensor] = field(repr=False)

    @property
    def architecture(self) -> str:
        """`general.architecture`: "qwen2vl", "llama", "clip"…, or "" if it says none."""
        value = self.kv.get("general.architecture", "")
        return value if isinstance(value, str) else ""

    @property
    def is_mmproj(self) -> bool:
        """A vision (or audio) tower that belongs beside a language model."""
        return self.architecture == "clip" or self.kv.get("general.type") == "mmproj"

    @property
    def is_adapter(self) -> bool:
        """A LoRA adapter, no model of its own."""
        return self.kv.get("general.type") == "adapter"

    @property
    def name(self) -> str:
        """`general.name`, or ""."""
        value = self.kv.get("general.name", "")
        return value if isinstance(value, str) else ""

    @property
    def chat_template(self) -> str:
        """The Jinja chat template, or ""."""
        value = self.kv.get("tokenizer.chat_template", "")
        return value if isinstance(value, str) else ""

    @property
    def embedding_length(self) -> int | None:
        """Width of the language model's hidden state."""
        return _int(self.kv.get(f"{self.architecture}.embedding_length"))

    @property
    def context_length(self) -> int | None:
        """Tokens the model was trained for."""
        return _int(self.kv.get(f"{self.architecture}.context_length"))

    @property
    def projection_length(self) -> int | None:
        """mmproj only: width of what it hands to the language model; None if it cannot be told."""
        return _projection_length(self)


def read_gguf(path: Path) -> GgufHeader:
    """Read metadata and tensor list of a GGUF file.

    Raises BadModelError if the file is no GGUF, has an unknown version, is damaged, or ends before its last tensor.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            return _read(_Cursor(file, size, path))
    except OSError as error:
        raise BadModelError(f"{path.name} cannot be read ({error.strerror or error}).") from error


def read_architecture(path: Path) -> str:
    """`general.architecture` alone, which every writer puts first: no walk over the vocabulary.

    Raises BadModelError if the file is no GGUF or ends before it.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            cursor = _Cursor(file, size, path, chunk=4096)
            _read_version(cursor)
            _, kv_count = cursor.take(_U64), cursor.take(_U64)
            for _ in range(min(kv_count, MAX_COUNT)):
                key, value = cursor.text(), _read_value(cursor, cursor.take(_U32))
                if key == "general.architecture":
                    return str(value)
    except OSError as error:
        raise BadModelError(f"{path.name} cannot be read ({error.strerror or error}).") from error
    return ""


class _Cursor:
    """Reads forward through a file, a chunk at a time; a length that points past the end is a clear error."""

    def __init__(self, file: BinaryIO, size: int, path: Path, chunk: int = 1 << 20) -> None:
        self.file, self.size, self.path, self.chunk = file, size, path, chunk
        self.buffer, self.start, self.at = b"", 0, 0  # `start`: offset of the buffer in the file; `at`: in the buffer

    @property
    def offset(self) -> int:
        """Where in the file the next byte comes from."""
        return self.start + self.at

    def need(self, count: int) -> None:
        """Make `count` bytes available at `at`."""
        if self.at + count <= len(self.buffer):
            return
        if self.offset + count > self.size:
            raise truncated(self.path, "inside its header")
        rest = self.buffer[self.at :]
        self.start, self.at = self.offset, 0
        self.buffer = rest + self.file.read(max(count - len(rest), self.chunk))
        if len(self.buffer) < count:  # the file shrank while it was read
            raise truncated(self.path, "inside its header")

    def take(self, codec: struct.Struct) -> Any:
        """One number."""
        self.need(codec.size)
        (value,) = codec.unpack_from(self.buffer, self.at)
        self.at += codec.size
        return value

    def text(self) -> str:
        """A length-prefixed string. Bytes that are not UTF-8 are replaced, as llama.cpp does not mind them."""
        length = self.take(_U64)
        self.need(length)
        raw = self.buffer[self.at : self.at + length]
        self.at += length
        return raw.decode("utf-8", "replace")

    def skip(self, count: int) -> None:
        """Pass over `count` bytes."""
        if self.offset + count > self.size:
            raise truncated(self.path, "inside its header")
        self.at += count
        if self.at > len(self.buffer):
            self.file.seek(self.start + self.at)
            self.start, self.at, self.buffer = self.start + self.at, 0, b""

    def skip_texts(self, count: int) -> None:
        """Pass over `count` strings: the slow part of a vocabulary, kept tight."""
        unpack = _U64.unpack_from
        for _ in range(count):
            if self.at + 8 > len(self.buffer):
                self.need(8)
            end = self.at + 8 + unpack(self.buffer, self.at)[0]
            if end > len(self.buffer):
                self.skip(end - self.at)
            else:
                self.at = end


def truncated(path: Path, where: str) -> BadModelError:
    """The error of a file that ends too early."""
    return BadModelError(f"{path.name} is incomplete: it ends {where}. Copy or download it again.")


def _damaged(path: Path, what: str) -> BadModelError:
    return BadModelError(f"{path.name} is damaged: {what}. Copy or download it again.")


def _read(cursor: _Cursor) -> GgufHeader:
    version = _read_version(cursor)
    tensor_count, kv_count = cursor.take(_U64), cursor.take(_U64)
    if tensor_count > MAX_COUNT or kv_count > MAX_COUNT:
        raise _damaged(cursor.path, f"it claims {max(tensor_count, kv_count)} entries")
    kv: dict[str, Any] = {}
    for _ in range(kv_count):
        key = cursor.text()
        kv[key] = _read_value(cursor, cursor.take(_U32))
    tensors = dict(_read_tensor(cursor) for _ in range(tensor_count))
    header = GgufHeader(str(cursor.path), version, kv, tensors)
    _check_extent(header, cursor)
    return header


def _read_version(cursor: _Cursor) -> int:
    if cursor.size < 8:
        raise BadModelError(f"{cursor.path.name} is not a GGUF file: it is only {cursor.size} bytes long.")
    cursor.need(8)
    magic, version = cursor.buffer[:4], _U32.unpack_from(cursor.buffer, 4)[0]
    cursor.at = 8
    if magic != MAGIC:
        raise BadModelError(f"{cursor.path.name} is not a GGUF file.")
    if version & 0xFFFF == 0:
        raise BadModelError(f"{cursor.path.name} is a big-endian GGUF file, which this machine cannot use.")
    if version not in (2, 3):
        raise BadModelError(f"{cursor.path.name} is a GGUF file of version {version}; Limner reads versions 2 and 3.")
    return int(version)


def _read_value(cursor: _Cursor, kind: int) -> Any:
    if kind in _CODECS:
        return cursor.take(_CODECS[kind])
    if kind == _STRING:
        return cursor.text()
    if kind == _ARRAY:
        return _read_array(cursor)
    raise _damaged(cursor.path, f"its metadata has a value of unknown type {kind}")


def _read_array(cursor: _Cursor) -> Any:
    kind, length = cursor.take(_U32), cursor.take(_U64)
    smallest = _CODECS[kind].size if kind in _CODECS else 8
    if kind not in _CODECS and kind != _STRING:
        raise _damaged(cursor.path, f"its metadata has an array of unknown type {kind}")
    if length > (cursor.size - cursor.offset) // smallest:
        raise truncated(cursor.path, "inside its header")
    if length <= MAX_KEPT_ARRAY:
        return [_read_value(cursor, kind) for _ in range(length)]
    if kind == _STRING:
        cursor.skip_texts(length)
    else:
        cursor.skip(length * smallest)
    return LongArray(length)


def _read_tensor(cursor: _Cursor) -> tuple[str, GgufTensor]:
    name, dimensions = cursor.text(), cursor.take(_U32)
    if dimensions > 8:
        raise _damaged(cursor.path, f"tensor {name!r} has {dimensions} dimensions")
    shape = tuple(cursor.take(_U64) for _ in range(dimensions))
    return name, GgufTensor(shape, cursor.take(_U32), cursor.take(_U64))


def _check_extent(header: GgufHeader, cursor: _Cursor) -> None:
    alignment = _int(header.kv.get("general.alignment")) or 32
    data = -(-cursor.offset // alignment) * alignment
    need = max((t.offset + (t.nbytes or 0) for t in header.tensors.values()), default=0)
    if header.tensors and data + need > cursor.size:
        raise truncated(cursor.path, f"{data + need - cursor.size} bytes before its last weight")


def _int(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _projection_length(header: GgufHeader) -> int | None:
    """The width of the last projector layer, as llama.cpp's `clip_n_mmproj_embd` reads it; the metadata's figure only
    as a fallback, because old LLaVA files put the width of CLIP's own text tower there."""
    for name in ("mm.2.weight", "mm.model.fc.weight", "mm.4.weight", "mm.3.weight", "mm.1.weight"):
        tensor = header.tensors.get(name)
        if tensor is not None and len(tensor.shape) == 2:
            return tensor.shape[1]
    return _int(header.kv.get("clip.vision.projection_dim"))
