"""Measures the memory of this machine's devices, predicts what a painter needs, decides how it is run.

Decides with numbers only; loads nothing. torch is imported only to ask about GPUs, and only when asked to.
"""

import functools
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from models.contracts import KnownError

MARGIN = 0.9
"""Share of the free memory that may be planned with; the rest is for allocators and other programs."""
DTYPE_SIZE = {"fp32": 4, "fp16": 2, "bf16": 2}


@dataclass(frozen=True)
class Device:
    """A place to compute. Bytes; `free` at the moment of measuring."""

    kind: str  # "cpu" | "cuda" | "mps"
    name: str
    total: int
    free: int


@dataclass(frozen=True)
class Need:
    """Bytes a painter takes in one precision: all weights, the largest part alone, a denoising step, decoding."""

    weights: int
    largest_part: int
    denoise: int
    decode: int


@dataclass(frozen=True)
class MemoryPlan:
    """How a painter is run. offload: "" | "model" (parts move in turn) | "sequential" (layers move in turn)."""

    dtype: str
    attention_slicing: bool = False
    vae_tiling: bool = False
    offload: str = ""
    fits: bool = True


def cpu() -> Device:
    """The processor and main memory."""
    memory = psutil.virtual_memory()
    return Device(
        "cpu", f"{psutil.cpu_count(logical=False) or psutil.cpu_count()} cores", memory.total, memory.available
    )


def gpus() -> list[Device]:
    """CUDA and Apple GPUs that torch can use; imports torch (seconds)."""
    import torch

    found = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(index)
        found.append(Device("cuda", torch.cuda.get_device_name(index), total, free))
    if torch.backends.mps.is_available():
        total = torch.mps.recommended_max_memory()
        found.append(Device("mps", "Apple GPU", total, total - torch.mps.current_allocated_memory()))
    return found


def choose_device(requested: str = "auto") -> Device:
    """The best device there is, or the requested one. Raises KnownError if that is not here."""
    if requested == "cpu":
        return cpu()
    found = gpus()
    if requested == "auto":
        return found[0] if found else cpu()
    for device in found:
        if device.kind == requested:
            return device
    there = ", ".join(dict.fromkeys([*(d.kind for d in found), "cpu"]))
    raise KnownError(f"There is no device {requested!r} on this machine; choose one of {there}.")


@functools.cache
def cuda_has_bf16() -> bool:
    """Whether the first CUDA device computes in bfloat16 (Ampere and later)."""
    import torch

    return torch.cuda.is_available() and torch.cuda.get_device_capability(0)[0] >= 8


def dtypes(device: Device, requested: str = "auto") -> tuple[str, ...]:
    """Precisions to try on a device, best first. Raises KnownError for a name unknown."""
    if requested != "auto":
        if requested not in DTYPE_SIZE:
            raise KnownError(f"There is no precision {requested!r}; choose one of auto, {', '.join(DTYPE_SIZE)}.")
        return (requested,)
    # On a processor half precision only saves memory: matrix products are slower there.
    return {"cuda": ("fp16",), "mps": ("fp16",)}.get(device.kind, ("fp32", "bf16"))


def predict_need(
    elements: dict[str, int], dtype: str, width: int, height: int, *, unet_channels: int = 320, vae_channels: int = 128
) -> Need:
    """Bytes for a picture of width × height pixels. `elements` are weights by part.

    The estimates of the activations are the widest feature maps, times a factor measured on SD 1.5 and SDXL shapes
    with memory-efficient attention: 60 maps of a two-fold batch at latent size, 10 maps at picture size.
    """
    size = DTYPE_SIZE[dtype]
    latent = (width // 8) * (height // 8)
    return Need(
        weights=sum(elements.values()) * size,
        largest_part=max(elements.values(), default=0) * size,
        denoise=2 * latent * unet_channels * size * 60,
        decode=width * height * vae_channels * size * 10,
    )


def decide(device: Device, needs: dict[str, Need]) -> MemoryPlan:
    """The gentlest plan that fits. `needs` by precision, best first: full speed, then tiling, slicing, then offload."""
    room = int(device.free * MARGIN)
    for dtype, need in needs.items():
        if plan := _plan_resident(dtype, need, room):
            return plan
    dtype, need = list(needs.items())[-1]
    if device.kind != "cuda":
        return MemoryPlan(dtype, True, True, "", fits=False)
    if need.largest_part + need.denoise // 4 <= room:
        return MemoryPlan(dtype, True, True, "model")
    return MemoryPlan(dtype, True, True, "sequential", fits=need.denoise // 4 <= room)


def _plan_resident(dtype: str, need: Need, room: int) -> MemoryPlan | None:
    """With all weights on the device: as it is, with the VAE in tiles, or with sliced attention besides. None: too
    large.

    Tiles cut decoding to about an eighth, slicing a step to about a quarter.
    """
    if need.weights + max(need.denoise, need.decode) <= room:
        return MemoryPlan(dtype)
    if need.weights + max(need.denoise, need.decode // 8) <= room:
        return MemoryPlan(dtype, vae_tiling=True)
    if need.weights + max(need.denoise // 4, need.decode // 8) <= room:
        return MemoryPlan(dtype, attention_slicing=True, vae_tiling=True)
    return None


def place_pair(mllm_bytes: int, t2i_bytes: int, device: Device) -> str:
    """Where the two models live: "both" stay on the device, "swap" (one at a time), or "cpu" (the larger does not
    fit)."""
    room = device.free * MARGIN
    if mllm_bytes + t2i_bytes <= room:
        return "both"
    return "swap" if max(mllm_bytes, t2i_bytes) <= room else "cpu"


def examine() -> dict[str, Any]:
    """Every device as facts, and in words for `limner doctor`; imports torch to look for GPUs."""
    devices = [cpu(), *gpus()]
    words = [f"{d.kind}: {d.name}, {d.free / 1e9:.1f} of {d.total / 1e9:.1f} GB free" for d in devices]
    if len(devices) == 1:
        words.append("no GPU that torch can use: painting runs on the processor")
    return {"devices": [asdict(d) for d in devices], "best": choose_device("auto").kind, "words": words}
