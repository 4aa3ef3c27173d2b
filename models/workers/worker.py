"""Entry of a worker process: `python -m models.workers.worker mllm|t2i`, in a packaged app `limner --worker mllm|t2i`.

Each kind is a set of methods over one loaded model. torch and llama.cpp are imported when a model is loaded, no sooner;
an MLLM worker never sees torch, a T2I worker never sees llama.cpp.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil

from models.contracts import GenerationSpec, MllmRequest, ModelDescription, Step, from_json
from models.mllm.base import Mllm
from models.t2i.base import T2I
from models.workers.serve import Call, Handlers, serve

T = TypeVar("T")

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "DIFFUSERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Set before any library is imported: nothing is looked up, nothing is reported."""


def ping(_call: Call) -> dict[str, Any]:
    """The owner thread is alive and idle."""
    return {"pid": os.getpid()}


def memory(_call: Call) -> dict[str, Any]:
    """{"rss": bytes}: resident memory of this process."""
    return {"rss": psutil.Process().memory_info().rss}


class MllmHandlers:
    """Methods of the MLLM worker."""

    def __init__(self) -> None:
        self._mllm: Mllm | None = None

    def table(self) -> Handlers:
        """Method name → handler."""
        return {
            "ping": ping,
            "memory": memory,
            "load": self.load,
            "generate": self.generate,
            "count_tokens": self.count_tokens,
        }

    def load(self, call: Call) -> Any:
        """params: description, options → MllmInfo. Emits the stages "importing" and "loading"."""
        description = from_json(ModelDescription, call.params["description"])
        call.emit({"stage": "importing"})
        from models.mllm.llama import open_mllm

        call.emit({"stage": "loading"})
        self._mllm = open_mllm(description, **call.params["options"])
        return self._mllm.info

    def generate(self, call: Call) -> None:
        """params: request → events Prefilled, Decided?, Token*, Generated."""
        request = from_json(MllmRequest, call.params["request"])
        for event in loaded(self._mllm).generate(request, call.cancelled):
            call.emit(event)

    def count_tokens(self, call: Call) -> int:
        """params: text → tokens."""
        return loaded(self._mllm).count_tokens(call.params["text"])


class T2IHandlers:
    """Methods of the T2I worker."""

    def __init__(self) -> None:
        self._t2i: T2I | None = None

    def table(self) -> Handlers:
        """Method name → handler."""
        return {
            "ping": ping,
            "memory": memory,
            "load": self.load,
            "measure": self.measure,
            "paint": self.paint,
            "export_onnx": self.export_onnx,
        }

    def load(self, call: Call) -> Any:
        """params: description, options (backend, device, dtype) → T2IInfo. Emits "importing" and "loading"."""
        description = from_json(ModelDescription, call.params["description"])
        call.emit({"stage": "importing"})
        from models.t2i.open import open_t2i

        call.emit({"stage": "loading"})
        self._t2i = open_t2i(description, **call.params["options"])
        return self._t2i.info

    def measure(self, call: Call) -> Any:
        """params: prompt → PromptTokens."""
        return loaded(self._t2i).measure(call.params["prompt"])

    def paint(self, call: Call) -> None:
        """params: spec, folder → events Step* (the preview's bytes as payload) and Painted."""
        spec, folder = from_json(GenerationSpec, call.params["spec"]), Path(call.params["folder"])
        for event in loaded(self._t2i).paint(spec, folder, call.cancelled):
            call.emit(event, (event.preview or b"") if isinstance(event, Step) else b"")

    def export_onnx(self, call: Call) -> str:
        """params: description, target → the folder written. Emits {"stage": …} as it goes."""
        description = from_json(ModelDescription, call.params["description"])
        from models.t2i.export import export_onnx

        def progress(stage: str) -> None:
            call.emit({"stage": stage})

        return str(export_onnx(description, Path(call.params["target"]), progress))


def loaded(model: T | None) -> T:
    """The model, which the parent has always loaded first."""
    if model is None:
        raise RuntimeError("a request came before the model was loaded")
    return model


KINDS: dict[str, Callable[[], Handlers]] = {
    "mllm": lambda: MllmHandlers().table(),
    "t2i": lambda: T2IHandlers().table(),
}


def main(arguments: list[str]) -> int:
    """Run the worker of the kind named by the only argument; returns only for a wrong argument."""
    if len(arguments) != 1 or arguments[0] not in KINDS:
        print(f"usage: worker {'|'.join(KINDS)}", file=sys.stderr)
        return 2
    os.environ.update(OFFLINE)
    return serve(KINDS[arguments[0]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
