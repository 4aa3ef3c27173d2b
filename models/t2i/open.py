"""Opens a painter: chooses the back end, loads lazily. The only door into this package for workers.

Imports neither torch nor ONNX Runtime until a painter is opened.
"""

from pathlib import Path

from models.contracts import BadModelError, KnownError, ModelDescription
from models.t2i.base import T2I
from models.t2i.quiet import offline

BACKENDS = ("auto", "torch", "onnx")


def open_t2i(description: ModelDescription, *, backend: str = "auto", device: str = "auto", dtype: str = "auto") -> T2I:
    """Load the painter described. `backend` auto | torch | onnx, `device` auto | cpu | cuda | mps, `dtype` auto |
    fp32 | fp16 | bf16.

    Auto takes ONNX Runtime where an export lies and no GPU does, else torch. Raises BadModelError for files that cannot
    be used, OutOfMemoryError when there is no room, KnownError for a back end or device that is not here.
    """
    offline()
    if backend not in BACKENDS:
        raise KnownError(f"There is no back end {backend!r}; choose one of {', '.join(BACKENDS)}.")
    if description.problem:
        raise BadModelError(description.problem)
    if backend == "auto":
        backend = choose_backend(description, device)
    if backend == "onnx":
        from models.t2i.onnx_pipeline import open_onnx

        return open_onnx(description, device=device)
    if not Path(description.path).exists():
        raise BadModelError(
            f"The painter {description.name} is no longer at {description.path}; look for models again."
        )
    from models.t2i.torch_pipeline import open_torch

    return open_torch(description, device=device, dtype=dtype)


def choose_backend(description: ModelDescription, device: str) -> str:
    """ "onnx" where an export can be used and the work is for the CPU (there it is the faster one), else "torch"."""
    if description.onnx == description.path:  # an export is all there is
        return "onnx"
    if not description.onnx or description.adapters or not Path(description.onnx, "model_index.json").is_file():
        return "torch"
    if device == "auto":
        from models.devices import choose_device

        device = choose_device("auto").kind
    return "onnx" if device == "cpu" else "torch"
