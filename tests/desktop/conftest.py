"""An engine over a real store whose chairs can be filled with scripted models, to provoke faults."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from desktop.engine import Engine
from desktop.store.store import Store
from models.contracts import ModelDescription
from models.mllm.fake import ScriptedMllm
from models.t2i.fake import ScriptedT2I


class ScriptedChairs:
    """Stands in for the supervisor: hands out scripted models, or raises what it was given."""

    def __init__(self, mllm: Any, t2i: Any) -> None:
        self.models = {"mllm": mllm, "t2i": t2i}

    def load_mllm(self, _: ModelDescription, **__: Any) -> Any:
        return self._load("mllm")

    def load_t2i(self, _: ModelDescription, **__: Any) -> Any:
        return self._load("t2i")

    def _load(self, kind: str) -> Any:
        if isinstance(self.models[kind], Exception):
            raise self.models[kind]
        return self.models[kind]

    def close(self) -> None:
        pass


class OneOfEach:
    """A registry with one whole model of each kind."""

    def scan(self) -> list[ModelDescription]:
        return [self.default("mllm"), self.default("t2i")]

    def default(self, kind: str) -> ModelDescription:
        return ModelDescription(name=f"scripted-{kind}", kind=kind, path="/nowhere", format="gguf")

    def identify(self, model: ModelDescription) -> ModelDescription:
        return model

    def find(self, name: str, kind: str) -> ModelDescription | None:
        return next((m for m in self.scan() if (m.name, m.kind) == (name, kind)), None)


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """`scripted(*outputs, t2i=…)` → an engine whose director writes those outputs in turn."""
    opened: list[Engine] = []

    def make(*outputs: str, mllm: Any = None, t2i: Any = None) -> Engine:
        chairs = ScriptedChairs(mllm or ScriptedMllm(list(outputs)), t2i or ScriptedT2I())
        engine = Engine(Store.open(tmp_path / f"library{len(opened)}"), OneOfEach(), chairs)  # type: ignore[arg-type]
        opened.append(engine)
        return engine

    yield make
    for engine in opened:
        engine.close()
