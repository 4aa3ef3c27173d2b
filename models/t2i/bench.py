"""Times a painter's two back ends against each other in one run, for `limner bench`.

Both do the same spec in turn, so that a busy machine slows both. Knows nothing of the engine around them.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from models.contracts import GenerationSpec, KnownError, ModelDescription
from models.t2i.base import T2I
from models.t2i.open import open_t2i

ROUNDS = 5


def compare_backends(description: ModelDescription, rounds: int = ROUNDS) -> dict[str, Any]:
    """`onnx_over_torch`: median ratio of the alternating runs; `starter_picture_s`: median seconds a picture by back
    end.

    Both on the CPU in fp32 with the painter's own defaults. Raises KnownError if it has no ONNX export.
    """
    if not description.onnx:
        raise KnownError(f"{description.name} has no ONNX export to compare; make one with `limner models export`.")
    painters = {name: open_t2i(description, backend=name, device="cpu") for name in ("torch", "onnx")}
    with tempfile.TemporaryDirectory() as folder:
        for painter in painters.values():
            picture_seconds(painter, Path(folder))  # the first picture warms up
        pairs = [[picture_seconds(painter, Path(folder)) for painter in painters.values()] for _ in range(rounds)]
    torch_s, onnx_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(onnx / torch for torch, onnx in pairs)
    return {
        "onnx_over_torch": round(ratio, 3),
        "starter_picture_s": {"torch": round(torch_s, 3), "onnx": round(onnx_s, 3)},
    }


def onnx_over_torch(description: ModelDescription, rounds: int = ROUNDS) -> float:
    """Time of ONNX Runtime over torch for the same picture (below 1: ONNX is faster)."""
    return float(compare_backends(description, rounds)["onnx_over_torch"])


def starter_picture_seconds(description: ModelDescription, rounds: int = ROUNDS) -> dict[str, float]:
    """Seconds for one picture, by back end."""
    return dict(compare_backends(description, rounds)["starter_picture_s"])


def picture_seconds(painter: T2I, folder: Path) -> float:
    """Seconds from the spec to the PNG, previews included, with the painter's defaults."""
    info = painter.info
    spec = GenerationSpec(
        "a red fox in the snow", 7, info.width, info.height, info.steps, info.guidance_scale, info.scheduler,
        info.negative_prompt,
    )  # fmt: skip
    begin = time.perf_counter()
    for _ in painter.paint(spec, folder):
        pass
    return time.perf_counter() - begin
