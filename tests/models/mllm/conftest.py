"""The real starter director, pictures, and short ways to talk to it."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator

import pytest
from PIL import Image

from models.contracts import (
    Decided,
    Decision,
    Generated,
    ImageRef,
    Message,
    MllmRequest,
    Modality,
    ModelDescription,
    Prefilled,
    Sampling,
    Token,
)
from models.mllm.llama import LlamaMllm, open_mllm
from resources import resource

STARTER = resource("models", "limner-starter-vl")
DRAW = Decision(("<draw>",), ("<draw>", "</draw>"))
SYSTEM = Message("system", "Please first identify the intention of the user.")


def describe(**changes: object) -> ModelDescription:
    """The starter's description, from its manifest."""
    manifest = json.loads((STARTER / "limner-model.json").read_text("utf-8"))
    known: dict[str, object] = {
        "name": manifest["name"],
        "kind": "mllm",
        "path": str(STARTER / manifest["model"]),
        "format": "gguf",
        "mmproj": str(STARTER / manifest["mmproj"]),
        "protocol": manifest["protocol"],
        "languages": tuple(manifest["languages"]),
        "defaults": manifest["defaults"],
    }
    return ModelDescription(**{**known, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def starter() -> Iterator[LlamaMllm]:
    """One starter director for all tests, with vision. Tests must not rely on an empty cache."""
    with contextlib.closing(open_mllm(describe(), n_ctx=1024, n_threads=1)) as mllm:
        yield mllm


@pytest.fixture(scope="session")
def blind() -> Iterator[LlamaMllm]:
    """The same model without its mmproj, with a very short context."""
    with contextlib.closing(open_mllm(describe(mmproj=None), n_ctx=256, n_threads=1)) as mllm:
        yield mllm


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ImageRef]:
    """Pictures of one colour."""
    folder = tmp_path_factory.mktemp("pictures")

    def make(colour: str) -> ImageRef:
        path = folder / f"{colour}.png"
        Image.new("RGB", (160, 120), colour).save(path)
        return ImageRef(str(path), hashlib.sha256(path.read_bytes()).hexdigest(), 160, 120)

    return make


class Answer:
    """All events of one generation, sorted."""

    def __init__(self, mllm: LlamaMllm, request: MllmRequest, cancelled: Callable[[], bool] = lambda: False) -> None:
        self.events = list(mllm.generate(request, cancelled))
        self.streamed = "".join(e.text for e in self.events if isinstance(e, Token))
        self.prefilled = next((e for e in self.events if isinstance(e, Prefilled)), None)
        self.decided = next((e for e in self.events if isinstance(e, Decided)), None)
        assert isinstance(self.events[-1], Generated)
        self.done: Generated = self.events[-1]

    @property
    def reused(self) -> int:
        assert self.prefilled is not None
        return self.prefilled.reused

    @property
    def read(self) -> int:
        assert self.prefilled is not None
        return self.prefilled.tokens - self.prefilled.reused


def ask(mllm: LlamaMllm, *messages: Message, max_tokens: int = 12, **more: object) -> Answer:
    """Generate greedily unless told otherwise."""
    sampling = more.pop("sampling", Sampling(max_tokens=max_tokens))
    cancelled = more.pop("cancelled", lambda: False)
    return Answer(mllm, MllmRequest(messages, sampling, **more), cancelled)  # type: ignore[arg-type]


def user(text: str, *images: ImageRef, turn: int = 0) -> Message:
    return Message("user", text, images, turn)


def assistant(text: str, turn: int = 0) -> Message:
    return Message("assistant", text, (), turn)


__all__ = ["DRAW", "STARTER", "SYSTEM", "Answer", "Modality", "ask", "assistant", "describe", "user"]
