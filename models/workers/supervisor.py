"""Starts, watches and ends the worker processes; hands out the models in them as ordinary `Mllm` and `T2I`.

The window and the command line use the same one. Imports neither torch nor llama.cpp, which costs a window nothing.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from models.contracts import MllmInfo, ModelDescription, ModelRef, T2IInfo, from_json, to_json
from models.workers.channel import CancelCheck, Channel, StageCallback, Wanted, ignore, never
from models.workers.process import worker_command
from models.workers.proxies import RemoteMllm, RemoteT2I

KINDS = ("mllm", "t2i")


class Supervisor:
    """One worker of each kind at most, started at the first load. Thread-safe. A context manager that closes."""

    def __init__(
        self,
        logs: Path | None = None,
        *,
        command: Callable[[str], list[str]] = worker_command,
        cancel_grace_s: float = 15.0,
    ) -> None:
        """`logs`: folder where mllm.log and t2i.log go (kept small); without one, what workers print is dropped.
        `cancel_grace_s`: a worker that has not stopped so long after a cancel is killed."""
        self._command, self._logs, self._grace = command, logs, cancel_grace_s
        self._channels = {kind: self._channel(kind, kind) for kind in KINDS}

    def load_mllm(
        self,
        description: ModelDescription,
        *,
        on_stage: StageCallback = ignore,
        cancelled: CancelCheck = never,
        **options: Any,
    ) -> RemoteMllm:
        """The MLLM, loaded in its worker; at once if it already is. Another model ends the process of the one before.

        `options` go to `models.mllm.llama.open_mllm` (n_ctx, n_threads, n_gpu_layers). `on_stage` is told "starting",
        "importing", "loading", "ready". Raises Cancelled (the worker is then ended), BadModelError, OutOfMemoryError,
        WorkerDiedError.
        """
        channel, wanted = self._channels["mllm"], Wanted(description, options)
        info = from_json(MllmInfo, channel.load(wanted, on_stage, cancelled))
        return RemoteMllm(channel, wanted, replace(info, model=_known(info.model, description)))

    def load_t2i(
        self,
        description: ModelDescription,
        *,
        backend: str = "auto",
        device: str = "auto",
        dtype: str = "auto",
        on_stage: StageCallback = ignore,
        cancelled: CancelCheck = never,
    ) -> RemoteT2I:
        """The painter, loaded in its worker; as `load_mllm`."""
        channel = self._channels["t2i"]
        wanted = Wanted(description, {"backend": backend, "device": device, "dtype": dtype})
        info = from_json(T2IInfo, channel.load(wanted, on_stage, cancelled))
        return RemoteT2I(channel, wanted, replace(info, model=_known(info.model, description)))

    def export_onnx(
        self,
        description: ModelDescription,
        target: Path,
        *,
        progress: StageCallback = ignore,
        cancelled: CancelCheck = never,
    ) -> Path:
        """Export a painter to ONNX into `target`, in a worker of its own that ends afterwards. Returns the folder.

        `progress` is told what is being done, in words. A cancel ends the worker at once and raises Cancelled.
        """
        channel = self._channel("t2i", "export")
        params = {"description": to_json(description), "target": str(Path(target).absolute())}
        try:
            return Path(channel.run("export_onnx", params, progress, cancelled))
        finally:
            channel.close(timeout=5)

    def memory(self) -> dict[str, int]:
        """Resident bytes of each worker; 0 for one that does not run."""
        return {kind: channel.rss() for kind, channel in self._channels.items()}

    def pids(self) -> dict[str, int | None]:
        """Process id of each worker, None for one that does not run."""
        return {kind: channel.pid() for kind, channel in self._channels.items()}

    def unload(self, kind: str) -> None:
        """End the worker of a kind once its request in progress is over; the next use loads it again."""
        self._channels[kind].unload()

    def kill(self, kind: str) -> None:
        """End a hung worker at once. Its request raises WorkerDiedError; the next one starts it again."""
        self._channels[kind].kill()

    def close(self, timeout: float = 3.0) -> None:
        """End all workers: gracefully, after `timeout` seconds by force. Requests in progress raise Cancelled."""
        for channel in self._channels.values():
            channel.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _channel(self, kind: str, name: str) -> Channel:
        log = self._logs / f"{name}.log" if self._logs else None
        return Channel(kind, self._command(kind), log, self._grace)


def _known(loaded: ModelRef, description: ModelDescription) -> ModelRef:
    """The reference with a hash that was computed only after the model was loaded."""
    return replace(loaded, sha256=description.sha256 or loaded.sha256)
