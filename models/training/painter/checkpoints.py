"""Checkpoints: safetensors with the progress of a run in their metadata, written whole or not at all.

Knows tensors and counters; which model they belong to is the caller's affair.
"""

import json
import signal
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


class StopSignal:
    """Inside `with`, `asked` turns true at SIGTERM or Ctrl-C, so that a run can save first. Main thread only."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignal":
        self._before = {name: signal.signal(name, self._heard) for name in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)

    def _heard(self, number: int, frame: object) -> None:
        self.asked = True


def save_checkpoint(path: Path, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
    """Writes beside the old file and then replaces it: a stopped run never leaves half a checkpoint."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    # Copies: tensors that share memory may not be saved, and channels-last ones must be made plain.
    plain = {
        name: tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    save_file(plain, str(partial), metadata={"progress": json.dumps(progress)})
    partial.replace(path)


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the progress; FileNotFoundError where there is none."""
    if not path.is_file():
        raise FileNotFoundError(path)
    with safe_open(str(path), framework="pt") as file:
        progress = json.loads((file.metadata() or {}).get("progress", "{}"))
        return {name: file.get_tensor(name) for name in file.keys()}, progress  # noqa: SIM118


def with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def of_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(prefix + ".")}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """AdamW's moments and step counts, named by the parameter's place."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{key}": value for i, entry in state.items() for key, value in entry.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Does nothing where a checkpoint carries no optimizer (weights taken over from another run)."""
    whole = optimizer.state_dict()
    entries: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        entries.setdefault(int(index), {})[key] = tensor
    whole["state"] = entries
    optimizer.load_state_dict(whole)
