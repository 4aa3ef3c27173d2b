"""The real workers on the real starter models: what a turn needs of them, through the processes."""

import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

from models.contracts import (
    BadInputError,
    BadModelError,
    Cancelled,
    Decided,
    Decision,
    Generated,
    GenerationSpec,
    ImageRef,
    Message,
    MllmEvent,
    MllmRequest,
    ModelDescription,
    Painted,
    Prefilled,
    Sampling,
    Step,
    T2IInfo,
    Token,
    WorkerDiedError,
)
from models.registry import Registry
from models.workers.supervisor import Supervisor

SAMPLING = Sampling(max_tokens=12)


@pytest.fixture(scope="module")
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    with Supervisor(tmp_path_factory.mktemp("logs")) as made:
        yield made
    assert psutil.Process().children() == []


@pytest.fixture
def described(starters: dict[str, ModelDescription]) -> ModelDescription:
    return starters["mllm"]


@pytest.fixture(scope="module")
def tiny_painter(tmp_path_factory: pytest.TempPathFactory) -> ModelDescription:
    """A Stable Diffusion folder of a few kilobytes, as the registry finds it."""
    from tests.models.t2i import tiny

    folder = tmp_path_factory.mktemp("painters")
    tiny.sd15().save_pretrained(folder / "tiny")
    return Registry([folder]).scan()[0]


@pytest.fixture
def painter(starters: dict[str, ModelDescription], request: pytest.FixtureRequest) -> ModelDescription:
    found = starters.get("t2i") or request.getfixturevalue("tiny_painter")
    assert isinstance(found, ModelDescription)
    return found


def request(text: str, *images: ImageRef, tokens: int = 12) -> MllmRequest:
    return MllmRequest((Message("user", text, images),), Sampling(max_tokens=tokens), Decision(("<draw>",)))


def never_ending() -> MllmRequest:
    """Sampled hot, so that no model soon comes to an end of its own."""
    return MllmRequest((Message("user", "Tell me a story"),), Sampling(temperature=3.0, max_tokens=2000))


def picture(folder: Path) -> ImageRef:
    path = folder / "red.png"
    Image.new("RGB", (112, 112), "red").save(path)
    return ImageRef(str(path), hashlib.sha256(path.read_bytes()).hexdigest(), 112, 112)


def test_the_director_answers_through_its_process(
    supervisor: Supervisor, described: ModelDescription, tmp_path: Path
) -> None:
    mllm = supervisor.load_mllm(described)
    events = list(mllm.generate(request("What is in this picture?", picture(tmp_path))))
    prefilled, decided, last = events[0], events[1], events[-1]
    assert isinstance(prefilled, Prefilled)
    assert prefilled.tokens > 16
    assert isinstance(decided, Decided)
    assert 0 <= decided.p_draw <= 1
    assert isinstance(last, Generated)
    assert "".join(event.text for event in events if isinstance(event, Token)) == last.raw
    assert mllm.info.vision
    assert mllm.info.model.sha256 == described.sha256
    assert mllm.count_tokens("a red fox") > 1


def test_no_library_print_disturbs_the_frames_and_torch_stays_out(
    supervisor: Supervisor, described: ModelDescription
) -> None:
    supervisor.load_mllm(described)
    process = psutil.Process(supervisor.pids()["mllm"])
    if hasattr(process, "memory_maps"):
        mapped = " ".join(entry.path for entry in process.memory_maps())
        assert "libllama" in mapped
        assert "torch" not in mapped
    assert not [connection for connection in process.net_connections() if connection.status != psutil.CONN_NONE]


def test_a_killed_director_is_told_and_comes_back(supervisor: Supervisor, described: ModelDescription) -> None:
    mllm = supervisor.load_mllm(described)
    stream = mllm.generate(never_ending())
    next(stream)
    os.kill(supervisor.pids()["mllm"] or 0, signal.SIGKILL)
    with pytest.raises(WorkerDiedError, match="The director stopped unexpectedly"):
        list(stream)
    assert isinstance(list(mllm.generate(request("Hello")))[-1], Generated)


def test_stop_in_mid_sentence(supervisor: Supervisor, described: ModelDescription) -> None:
    mllm = supervisor.load_mllm(described)
    heard: list[Token] = []
    last: MllmEvent | None = None
    for last in mllm.generate(never_ending(), lambda: bool(heard[2:])):
        if isinstance(last, Token):
            heard.append(last)
    assert isinstance(last, Generated)
    assert last.finish == "cancelled"
    assert last.raw.startswith("".join(token.text for token in heard[:3]))


def test_a_damaged_director_is_refused_in_a_sentence(
    supervisor: Supervisor, described: ModelDescription, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.gguf"
    with Path(described.path).open("rb") as file:
        cut.write_bytes(file.read(3_000_000))
    with pytest.raises(BadModelError, match=r"cut\.gguf"):
        supervisor.load_mllm(ModelDescription("cut", "mllm", str(cut), "gguf"))


def spec(info: T2IInfo, **changes: object) -> GenerationSpec:
    values = {
        "prompt": "a red fox, the background is snow",
        "seed": 7,
        "width": info.width,
        "height": info.height,
        "steps": 2,
        "guidance_scale": info.guidance_scale,
        "scheduler": info.scheduler,
    }
    return GenerationSpec(**{**values, **changes})  # type: ignore[arg-type]


def test_the_painter_paints_through_its_process(
    supervisor: Supervisor, painter: ModelDescription, tmp_path: Path
) -> None:
    t2i = supervisor.load_t2i(painter)
    events = list(t2i.paint(spec(t2i.info), tmp_path))
    steps = [event for event in events if isinstance(event, Step)]
    assert [step.index for step in steps] == list(range(1, steps[0].total + 1))  # some schedulers add a step
    assert any(step.preview for step in steps)
    painted = events[-1]
    assert isinstance(painted, Painted)
    with Image.open(painted.path) as opened:
        assert opened.size == (t2i.info.width, t2i.info.height)
    assert t2i.measure("a red fox").limit == 77
    again = list(t2i.paint(spec(t2i.info), tmp_path))[-1]
    assert isinstance(again, Painted)
    assert Path(again.path).read_bytes() == Path(painted.path).read_bytes()


def test_the_painter_refuses_and_stops_like_one_in_this_process(
    supervisor: Supervisor, painter: ModelDescription, tmp_path: Path
) -> None:
    t2i = supervisor.load_t2i(painter)
    with pytest.raises(BadInputError):
        list(t2i.paint(spec(t2i.info, width=7), tmp_path))
    process = supervisor.pids()["t2i"]
    with pytest.raises(Cancelled):
        list(t2i.paint(spec(t2i.info, steps=50), tmp_path, lambda: True))
    assert supervisor.pids()["t2i"] == process
    assert supervisor.memory()["t2i"] > 0


def test_an_export_made_by_the_worker_is_found_whole(
    supervisor: Supervisor, tiny_painter: ModelDescription, tmp_path: Path
) -> None:
    heard: list[str] = []
    folder = supervisor.export_onnx(tiny_painter, tmp_path / "onnx" / tiny_painter.name, progress=heard.append)
    assert heard == ["starting", "ready", "loading", "exporting", "checking"]
    registry = Registry([Path(tiny_painter.path).parent], settings=tmp_path / "models.json")
    found = registry.find(tiny_painter.name, "t2i")
    assert found is not None
    assert found.onnx == str(folder)
    assert registry.verify(found) == []
