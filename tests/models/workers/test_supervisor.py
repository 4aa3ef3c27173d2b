"""Workers as processes: streams, cancels, deaths, hangs, noise. Only the model inside is made of faults."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from models.contracts import (
    BadInputError,
    BadModelError,
    Cancelled,
    Generated,
    GenerationSpec,
    Message,
    MllmEvent,
    MllmRequest,
    ModelDescription,
    OutOfMemoryError,
    Painted,
    Prefilled,
    Step,
    Token,
    WorkerDiedError,
)
from models.workers.channel import WorkerBug, death_sentence
from models.workers.process import LOG_BYTES, worker_command
from models.workers.supervisor import Supervisor

WORKER = Path(__file__).with_name("faulty_worker.py")
pytestmark = pytest.mark.timeout(60)


def command(kind: str) -> list[str]:
    return [sys.executable, str(WORKER), kind]


def described(kind: str = "mllm", name: str = "one", path: str = "fine") -> ModelDescription:
    return ModelDescription(name, kind, path, "gguf")


def request(text: str) -> MllmRequest:
    return MllmRequest((Message("user", text),))


def words(events: list[MllmEvent]) -> list[str]:
    return [event.text for event in events if isinstance(event, Token)]


def gone(process: int) -> bool:
    """Ended; a zombie counts, because a container may have nobody who reaps it."""
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """Closing must leave no thread, no descriptor and no process behind."""
    before = psutil.Process().num_fds() if hasattr(psutil.Process, "num_fds") else 0
    with Supervisor(tmp_path / "logs", command=command, cancel_grace_s=2.0) as made:
        yield made
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("worker-")] == []
    assert psutil.Process().children() == []
    if before:
        assert psutil.Process().num_fds() == before


# ---------------------------------------------------------------- the ordinary way
def test_a_stream_of_events_arrives_in_order(supervisor: Supervisor) -> None:
    mllm = supervisor.load_mllm(described())
    events = list(mllm.generate(request("say one two three")))
    assert isinstance(events[0], Prefilled)
    assert words(events) == ["one", "two", "three"]
    assert events[-1] == Generated("one two three", "stop", 3, 0.0, 0.0)
    assert mllm.info.n_ctx == 512
    assert mllm.count_tokens("four") == 4


def test_a_painting_brings_its_previews_as_bytes(supervisor: Supervisor, tmp_path: Path) -> None:
    t2i = supervisor.load_t2i(described("t2i"), backend="torch")
    spec = GenerationSpec("a fox", 7, 64, 64, 2, 1.0, "euler")
    first, second, painted = t2i.paint(spec, tmp_path)
    assert first == Step(1, 2, b"\x00\xffpicture")
    assert second == Step(2, 2)
    assert painted == Painted(str(tmp_path / "picture.png"), 64, 64, spec, 0.1)
    assert t2i.measure("a fox").kept == ("a fox",)


def test_loading_tells_its_stages_and_the_same_model_is_loaded_once(supervisor: Supervisor) -> None:
    stages: list[str] = []
    first = supervisor.load_mllm(described(), on_stage=stages.append, n_ctx=512)
    assert stages == ["starting", "loading", "ready"]
    second = supervisor.load_mllm(described(), on_stage=stages.append, n_ctx=512)
    assert len(stages) == 3
    assert first.info == second.info


def test_a_hash_that_becomes_known_later_is_taken_over_without_loading_again(supervisor: Supervisor) -> None:
    first = supervisor.load_mllm(described())
    process = supervisor.pids()["mllm"]
    again = supervisor.load_mllm(replace(described(), sha256="abc"))
    assert (first.info.model.sha256, again.info.model.sha256) == (str(process), "abc")
    assert supervisor.pids()["mllm"] == process


def test_another_model_gets_another_process_and_the_first_comes_back_when_asked(supervisor: Supervisor) -> None:
    one = supervisor.load_mllm(described(name="one"))
    first_process = supervisor.pids()["mllm"]
    two = supervisor.load_mllm(described(name="two"))
    assert supervisor.pids()["mllm"] != first_process
    assert not psutil.pid_exists(first_process or 0)
    assert words(list(two.generate(request("say two")))) == ["two"]
    assert words(list(one.generate(request("say one")))) == ["one"]


def test_director_and_painter_work_at_the_same_time(supervisor: Supervisor, tmp_path: Path) -> None:
    mllm, t2i = supervisor.load_mllm(described()), supervisor.load_t2i(described("t2i"))
    talking = mllm.generate(request("count"))
    next(talking)
    painted = list(t2i.paint(GenerationSpec("a fox", 7, 64, 64, 2, 1.0, "euler"), tmp_path))
    assert isinstance(painted[-1], Painted)
    assert isinstance(next(talking), Token)


def test_requests_from_many_threads_wait_for_each_other(supervisor: Supervisor) -> None:
    mllm = supervisor.load_mllm(described())
    heard: dict[int, list[str]] = {}

    def ask(number: int) -> None:
        heard[number] = words(list(mllm.generate(request(f"say {number} and {number}"))))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == {n: [str(n), "and", str(n)] for n in range(8)}


def test_asking_in_the_middle_of_ones_own_stream_is_an_error_and_no_deadlock(supervisor: Supervisor) -> None:
    mllm = supervisor.load_mllm(described())
    stream = mllm.generate(request("count"))
    next(stream)
    with pytest.raises(RuntimeError, match="middle of its own stream"):
        mllm.count_tokens("x")


def test_memory_and_unload(supervisor: Supervisor) -> None:
    mllm = supervisor.load_mllm(described())
    assert supervisor.memory()["mllm"] > 1_000_000
    assert supervisor.memory()["t2i"] == 0
    supervisor.unload("mllm")
    assert supervisor.memory() == {"mllm": 0, "t2i": 0}
    assert words(list(mllm.generate(request("say again")))) == ["again"]


def test_an_export_runs_in_a_process_of_its_own(supervisor: Supervisor, tmp_path: Path) -> None:
    stages: list[str] = []
    folder = supervisor.export_onnx(described("t2i"), tmp_path / "onnx", progress=stages.append)
    assert folder == tmp_path / "onnx"
    assert stages == ["starting", "ready", "unet"]
    assert supervisor.pids() == {"mllm": None, "t2i": None}


def test_an_export_can_be_cancelled(supervisor: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        supervisor.export_onnx(described("t2i"), tmp_path / "slow", cancelled=after(0.3))


# ---------------------------------------------------------------- cancel
class after:
    """A cancel check that says yes after some seconds."""

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds

    def __call__(self) -> bool:
        return time.monotonic() > self.until


def test_a_cancel_ends_the_words_and_keeps_what_was_written(supervisor: Supervisor) -> None:
    mllm = supervisor.load_mllm(described())
    process = supervisor.pids()["mllm"]
    events = list(mllm.generate(request("count"), after(0.2)))
    assert isinstance(events[-1], Generated)
    assert events[-1].finish == "cancelled"
    assert words(events)[:2] == ["0 ", "1 "]
    assert words(list(mllm.generate(request("say fine")))) == ["fine"]
    assert supervisor.pids()["mllm"] == process


def test_a_cancelled_painting_raises_cancelled_and_the_worker_stays(supervisor: Supervisor, tmp_path: Path) -> None:
    t2i = supervisor.load_t2i(described("t2i"))
    process = supervisor.pids()["t2i"]
    with pytest.raises(Cancelled):
        list(t2i.paint(GenerationSpec("a fox", 7, 64, 64, 10**6, 1.0, "euler"), tmp_path, after(0.2)))
    assert supervisor.pids()["t2i"] == process


def test_closing_the_stream_cancels_and_the_next_request_is_answered(supervisor: Supervisor) -> None:
    mllm = supervisor.load_mllm(described())
    process = supervisor.pids()["mllm"]
    stream = mllm.generate(request("count"))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert words(list(mllm.generate(request("say next")))) == ["next"]
    assert supervisor.pids()["mllm"] == process


def test_a_worker_that_does_not_heed_a_cancel_is_killed(supervisor: Supervisor) -> None:
    mllm = supervisor.load_mllm(described())
    events = list(mllm.generate(request("hang"), after(0.2)))
    assert words(events) == ["before"]
    assert isinstance(events[-1], Generated)
    assert (events[-1].raw, events[-1].finish) == ("before", "cancelled")
    assert words(list(mllm.generate(request("say back")))) == ["back"]


def test_a_stream_closed_over_a_hung_worker_does_not_block_the_next_request(supervisor: Supervisor) -> None:
    mllm = supervisor.load_mllm(described())
    process = supervisor.pids()["mllm"]
    stream = mllm.generate(request("hang"))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert words(list(mllm.generate(request("say back")))) == ["back"]
    assert supervisor.pids()["mllm"] != process


def test_a_load_can_be_cancelled(supervisor: Supervisor) -> None:
    with pytest.raises(Cancelled):
        supervisor.load_mllm(described(path="slow"), cancelled=after(0.3))
    assert supervisor.pids()["mllm"] is None


def test_waiting_for_another_threads_request_can_be_cancelled(supervisor: Supervisor) -> None:
    mllm = supervisor.load_mllm(described())
    stream = mllm.generate(request("count"))
    next(stream)
    seen: list[MllmEvent] = []
    waiting = threading.Thread(target=lambda: seen.extend(mllm.generate(request("say x"), after(0.1))))
    waiting.start()
    waiting.join()
    assert [event.event for event in seen] == ["generated"]


def test_closing_everything_ends_a_request_in_progress_as_a_cancel(supervisor: Supervisor) -> None:
    mllm = supervisor.load_mllm(described())
    seen: list[MllmEvent] = []
    running = threading.Thread(target=lambda: seen.extend(mllm.generate(request("hang"))))
    running.start()
    while not seen:
        time.sleep(0.01)
    supervisor.close()
    running.join()
    assert isinstance(seen[-1], Generated)
    assert seen[-1].finish == "cancelled"
    with pytest.raises(Cancelled):
        supervisor.load_mllm(described(name="other"))


# ---------------------------------------------------------------- errors
def test_a_known_error_crosses_as_itself(supervisor: Supervisor) -> None:
    mllm = supervisor.load_mllm(described())
    with pytest.raises(BadInputError, match=r"^The picture is too large\.$"):
        list(mllm.generate(request("known The picture is too large.")))
    assert words(list(mllm.generate(request("say fine")))) == ["fine"]


def test_a_bug_crosses_with_its_traceback(supervisor: Supervisor, tmp_path: Path) -> None:
    mllm = supervisor.load_mllm(described())
    with pytest.raises(WorkerBug, match="ZeroDivisionError: oops") as caught:
        list(mllm.generate(request("bug oops")))
    assert "faulty_worker.py" in caught.value.__notes__[0]
    assert "ZeroDivisionError: oops" in (tmp_path / "logs" / "mllm.log").read_text()
    assert words(list(mllm.generate(request("say fine")))) == ["fine"]


def test_no_memory_is_a_known_error(supervisor: Supervisor) -> None:
    mllm = supervisor.load_mllm(described())
    with pytest.raises(OutOfMemoryError, match="not enough memory"):
        list(mllm.generate(request("memory")))


def test_a_model_that_cannot_be_loaded_is_reported_and_leaves_no_process(supervisor: Supervisor) -> None:
    with pytest.raises(BadModelError, match="damaged"):
        supervisor.load_mllm(described(path="damaged"))
    assert supervisor.pids()["mllm"] is None
    with pytest.raises(WorkerDiedError, match="signal 11"):
        supervisor.load_mllm(described(path="dies"))
    assert supervisor.load_mllm(described()).info.model.name == "one"


def test_a_worker_opens_no_connection(supervisor: Supervisor) -> None:
    mllm = supervisor.load_mllm(described())
    with pytest.raises(WorkerBug, match="Limner opens no network connections"):
        list(mllm.generate(request("network")))


# ---------------------------------------------------------------- deaths
@pytest.mark.parametrize(
    ("number", "said"), [(9, "signal 9: perhaps out of memory"), (11, "signal 11: a fault"), (6, "signal 6")]
)
def test_a_death_in_mid_stream_is_told_in_a_sentence_and_the_next_call_reloads(
    supervisor: Supervisor, number: int, said: str
) -> None:
    mllm = supervisor.load_mllm(described())
    process = supervisor.pids()["mllm"]
    events: list[MllmEvent] = []
    with pytest.raises(WorkerDiedError, match=said) as caught:
        for event in mllm.generate(request(f"die {number}")):
            events.append(event)
    assert words(events) == ["before"]
    assert str(caught.value).startswith("The director stopped unexpectedly")
    assert words(list(mllm.generate(request("say alive")))) == ["alive"]
    assert supervisor.pids()["mllm"] != process


def test_killed_from_outside_while_idle_is_not_even_noticed(supervisor: Supervisor) -> None:
    mllm = supervisor.load_mllm(described())
    process = supervisor.pids()["mllm"] or 0
    os.kill(process, signal.SIGKILL)
    while not gone(process):
        time.sleep(0.01)
    assert words(list(mllm.generate(request("say alive")))) == ["alive"]


def test_a_hung_worker_can_be_killed_by_hand(supervisor: Supervisor) -> None:
    mllm = supervisor.load_mllm(described())
    with pytest.raises(WorkerDiedError):
        for _event in mllm.generate(request("hang")):
            supervisor.kill("mllm")
    assert words(list(mllm.generate(request("say alive")))) == ["alive"]


def test_a_quiet_exit_and_garbage_in_the_pipe_are_deaths_too(supervisor: Supervisor) -> None:
    mllm = supervisor.load_mllm(described())
    with pytest.raises(WorkerDiedError, match="exit code 3"):
        list(mllm.generate(request("leave 3")))
    with pytest.raises(WorkerDiedError, match="messages could not be read"):
        list(mllm.generate(request("garbage")))
    assert words(list(mllm.generate(request("say alive")))) == ["alive"]


def test_a_crash_leaves_its_trace_in_the_log_and_in_the_error(supervisor: Supervisor, tmp_path: Path) -> None:
    mllm = supervisor.load_mllm(described())
    with pytest.raises(WorkerDiedError) as caught:
        list(mllm.generate(request("die 11")))
    assert "Segmentation fault" in caught.value.__notes__[0]
    assert "Segmentation fault" in (tmp_path / "logs" / "mllm.log").read_text()


def test_native_prints_land_in_the_log_and_never_among_the_frames(supervisor: Supervisor, tmp_path: Path) -> None:
    mllm = supervisor.load_mllm(described())
    events = list(mllm.generate(request("print")))
    assert words(events) == [str(n) for n in range(50)]
    log = (tmp_path / "logs" / "mllm.log").read_text()
    assert [log.count(noise) for noise in ("native noise", "raw noise", "python noise")] == [50, 50, 50]


def test_a_library_that_reads_stdin_finds_it_empty(supervisor: Supervisor) -> None:
    mllm = supervisor.load_mllm(described())
    assert list(mllm.generate(request("stdin"))) == [Generated("b''", "stop", 0, 0.0, 0.0)]


ORPHANED = """
import os, sys
from models.contracts import Message, MllmRequest, ModelDescription
from models.workers.supervisor import Supervisor
supervisor = Supervisor(command=lambda kind: [sys.executable, sys.argv[1], kind])
mllm = supervisor.load_mllm(ModelDescription("one", "mllm", "fine", "gguf"))
stream = mllm.generate(MllmRequest((Message("user", "hang"),)))
next(stream)
print(supervisor.pids()["mllm"], flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_worker_leaves_when_its_parent_dies_even_in_the_middle_of_work() -> None:
    root = str(Path(__file__).parents[3])
    parent = subprocess.run(
        [sys.executable, "-c", ORPHANED, str(WORKER)],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert parent.returncode == -signal.SIGKILL
    worker = int(parent.stdout)
    deadline = time.monotonic() + 20
    while not gone(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert gone(worker)


def test_ctrl_c_in_the_terminal_does_not_reach_the_worker(supervisor: Supervisor) -> None:
    supervisor.load_mllm(described())
    process = supervisor.pids()["mllm"] or 0
    assert os.getpgid(process) != os.getpgid(0)
    os.kill(process, signal.SIGINT)
    assert words(list(supervisor.load_mllm(described()).generate(request("say fine")))) == ["fine"]
    assert supervisor.pids()["mllm"] == process


# ---------------------------------------------------------------- logs and commands
def test_a_large_log_is_moved_aside(supervisor: Supervisor, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "mllm.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * LOG_BYTES)
    supervisor.load_mllm(described())
    assert log.stat().st_size < LOG_BYTES
    assert (tmp_path / "logs" / "mllm.log.1").stat().st_size == LOG_BYTES


def test_a_log_folder_that_cannot_be_written_keeps_nobody_from_work(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    with Supervisor(tmp_path / "logs", command=command) as supervisor:
        assert supervisor.load_mllm(described()).count_tokens("abc") == 3


def test_a_packaged_app_starts_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert worker_command("t2i") == [sys.executable, "--worker", "t2i"]


def test_a_wrong_kind_is_refused() -> None:
    done = subprocess.run(
        [*worker_command("mllm")[:-1], "poet"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 2
    assert "mllm|t2i" in done.stderr


def test_the_sentences_of_a_death() -> None:
    assert death_sentence("painter", -9) == (
        "The painter stopped unexpectedly (signal 9: perhaps out of memory). Your words are safe: try again."
    )
    assert "0xc0000005" in death_sentence("painter", 0xC0000005)
    assert "exit code 1" in death_sentence("painter", 1)
