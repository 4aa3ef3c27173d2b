"""Reads what a safetensors file says about itself: tensor names, types, shapes. Never reads weights, never imports torch.

Knows the container only; what the names mean is for the registry and the painter to say.
"""

import json
import struct
from pathlib import Path
from typing import Any

from models.contracts import BadModelError

MAX_HEADER_BYTES = 100_000_000
"""The limit of the safetensors library itself."""


def read_header(path: Path) -> dict[str, Any]:
    """Tensor name → {"dtype", "shape", "data_offsets"}, plus "__metadata__" (str → str) if the file has it.

    Raises BadModelError if the file is no safetensors file, is damaged, or is shorter than its header promises.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            length = _header_length(file.read(8), size, path)
            header = _parse(file.read(length), path)
    except OSError as error:
        raise BadModelError(f"{path.name} cannot be read ({error.strerror or error}).") from error
    _check_extent(header, size - 8 - length, path)
    return header


def tensor_shapes(header: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name → shape of every tensor in a header from `read_header`."""
    return {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}


def _header_length(head: bytes, size: int, path: Path) -> int:
    if len(head) < 8:
        raise BadModelError(f"{path.name} is incomplete: it is only {size} bytes long. Copy or download it again.")
    length: int = struct.unpack("<Q", head)[0]
    if not 2 <= length <= MAX_HEADER_BYTES:
        raise BadModelError(f"{path.name} is not a safetensors file.")
    if length > size - 8:
        raise BadModelError(f"{path.name} is incomplete: it ends inside its header. Copy or download it again.")
    return length


def _parse(raw: bytes, path: Path) -> dict[str, Any]:
    if raw[:1] != b"{":
        raise BadModelError(f"{path.name} is not a safetensors file.")
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadModelError(f"{path.name} is damaged: its header cannot be read. Copy or download it again.") from None
    if not all(name == "__metadata__" or _is_tensor(entry) for name, entry in header.items()):
        raise BadModelError(f"{path.name} is damaged: its header lists something that is no tensor.")
    return header  # type: ignore[no-any-return]


def _is_tensor(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return False
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    return _are_sizes(shape) and _are_sizes(offsets) and len(offsets) == 2 and offsets[0] <= offsets[1]


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(v) is int and v >= 0 for v in value)


def _check_extent(header: dict[str, Any], have: int, path: Path) -> None:
    need = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
    if need > have:
        raise BadModelError(
            f"{path.name} is incomplete: {need - have} of its {need} bytes of weights are missing. "
            "Copy or download it again."
        )
