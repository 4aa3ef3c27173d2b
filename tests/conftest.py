"""What all tests share: no network, a home of their own, the real starter models."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

ARTIFACTS = Path(__file__).parent / "artifacts"


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test touches the artist's own sessions or settings."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("LIMNER_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """A folder that is kept after the run: screenshots and contact sheets to look at."""
    ARTIFACTS.mkdir(exist_ok=True)
    return ARTIFACTS


@pytest.fixture(scope="session")
def starters() -> Iterator[dict[str, object]]:
    """The descriptions of the starter pair as the registry finds them: {"mllm": …, "t2i": …}."""
    from models.registry import Registry
    from resources import resource

    found = Registry([resource("models")]).scan()
    yield {m.kind: m for m in found if m.name.startswith("limner-starter")}
