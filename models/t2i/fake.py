"""A scripted painter that provokes faults in tests: out of memory in mid-picture, a cancel at a step. Paints nothing.

Its pictures are one flat colour made from the seed. Never used by the app; everything that can be shown with a real
pipeline is tested with one.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from models.contracts import Cancelled, GenerationSpec, ModelRef, Painted, PaintEvent, PromptTokens, Step, T2IInfo
from models.t2i.base import CancelCheck


def scripted_info(**changes: object) -> T2IInfo:
    """A small painter: 64×64 by default, sides of 32 to 128 in steps of 8, English only."""
    values: dict[str, object] = {
        "model": ModelRef("scripted-sd", "1" * 64),
        "family": "sd",
        "backend": "torch",
        "device": "cpu",
        "dtype": "fp32",
        "width": 64,
        "height": 64,
        "size_min": 32,
        "size_max": 128,
        "size_multiple": 8,
        "steps": 3,
        "guidance_scale": 4.0,
        "scheduler": "ddim",
        "schedulers": ("ddim", "euler"),
    }
    return T2IInfo(**(values | changes))  # type: ignore[arg-type]


@dataclass
class ScriptedT2I:
    """Takes `spec.steps` steps; `fault` is raised at step `fault_at` (from 1) of every picture. `specs` keeps what was
    asked. A token is a word; the text encoder reads `limit` of them."""

    info: T2IInfo = field(default_factory=scripted_info)
    limit: int = 77
    fault: Exception | None = None
    fault_at: int = 1
    specs: list[GenerationSpec] = field(default_factory=list)

    def measure(self, prompt: str) -> PromptTokens:
        """Words, cut at the limit."""
        words = tuple(prompt.split())
        return PromptTokens(words[: self.limit], words[self.limit :], self.limit)

    def paint(self, spec: GenerationSpec, folder: Path, cancelled: CancelCheck = lambda: False) -> Iterator[PaintEvent]:
        """The events of one picture, as `T2I.paint` describes them."""
        begin = time.perf_counter()
        self.specs.append(spec)
        for index in range(1, spec.steps + 1):
            if cancelled():
                raise Cancelled
            if self.fault is not None and index >= self.fault_at:
                raise self.fault
            yield Step(index, spec.steps)
        if cancelled():
            raise Cancelled
        path = folder / f"{len(self.specs)}.png"
        colour = (spec.seed % 256, spec.seed // 256 % 256, spec.seed // 65536 % 256)
        Image.new("RGB", (spec.width, spec.height), colour).save(path)
        yield Painted(str(path), spec.width, spec.height, spec, time.perf_counter() - begin)
