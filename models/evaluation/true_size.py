"""Do the models artists really use open and run here? `python -m models.evaluation.true_size FOLDER`

Writes files of the true size and layout with random weights (an SD 1.5 and an SDXL single .safetensors file, a
Qwen2.5-VL-3B-shaped Q4_0 GGUF with its mmproj), has them recognised offline, loads each in a process of its own and
runs
two steps or one short turn. Prints a markdown table with time and peak memory. Not part of the test suite.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.contracts import (
    Decided,
    Decision,
    Generated,
    GenerationSpec,
    ImageRef,
    KnownError,
    Message,
    MllmRequest,
    ModelDescription,
    Prefilled,
    Sampling,
)
from models.registry import Registry

FILES = {
    "sd15": "sd15-random.safetensors",
    "sdxl": "sdxl-random.safetensors",
    "qwen": "qwen2.5-vl-3b-random-q4_0.gguf",
}
MMPROJ = "mmproj-qwen2.5-vl-3b-random-f16.gguf"
PROMPT = "A red fox, the background is snow, the style is watercolor"


@dataclass(frozen=True)
class Row:
    """One line of the table. `cpu_s`: processor seconds of the whole process, which say more than the clock on a busy
    machine; `peak`: largest resident memory in bytes, mapped files included."""

    name: str
    file_bytes: int
    load_s: float
    what: str
    cpu_s: float
    peak: int


def main() -> int:
    """Write what is missing, measure each, print the table. Exit code 3 for a known error."""
    options = _options()
    folder = Path(options.folder)
    if options.measure:
        print(json.dumps(MEASURES[options.measure](folder, options)))
        return 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in options.only:
            _write(name, folder, options)
        rows = [_measure_apart(name, options) for name in options.only]
    except KnownError as error:
        print(str(error), file=sys.stderr)
        return 3
    print(table(rows))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.evaluation.true_size", description=__doc__)
    parser.add_argument("folder", help="where the files are written (about 12 GB) and left")
    parser.add_argument("--only", nargs="+", choices=sorted(FILES), default=list(FILES))
    parser.add_argument("--side", type=int, default=512, help="side of the pictures, pixels")
    parser.add_argument(
        "--vocabulary", type=Path, help="a qwen.tiktoken file; else an installed dashscope's, else made up"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--measure", choices=sorted(FILES), help=argparse.SUPPRESS)
    return parser.parse_args()


# ---------------------------------------------------------------- writing
def _write(name: str, folder: Path, options: argparse.Namespace) -> None:
    """The file, unless it is there already."""
    path = folder / FILES[name]
    if path.exists():
        return
    begin = time.perf_counter()
    if name == "qwen":
        from models.evaluation.random_gguf import find_vocabulary, write_language_half, write_vision_half

        vocabulary = options.vocabulary or find_vocabulary()
        _say(f"{name}: {'Qwen’s own' if vocabulary else 'a made-up'} vocabulary")
        write_vision_half(folder / MMPROJ)
        write_language_half(path, vocabulary)
    else:
        from models.evaluation.random_checkpoints import write_painter

        write_painter(path, name)
    _say(f"{name}: written in {time.perf_counter() - begin:.0f} s")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# ---------------------------------------------------------------- measuring
def _measure_apart(name: str, options: argparse.Namespace) -> Row:
    """In a process of its own, so that the peak is this model's."""
    arguments = [options.folder, "--measure", name, "--side", str(options.side)]
    arguments += ["--device", options.device, "--dtype", options.dtype]
    command = [sys.executable, "-m", "models.evaluation.true_size", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise KnownError(f"{name} could not be measured: its process ended with {done.returncode}.")
    return Row(**json.loads(done.stdout.splitlines()[-1]))


def _recognised(folder: Path, name: str) -> ModelDescription:
    """As the app finds it. Raises KnownError if the registry does not know it."""
    path = str(folder / FILES[name])
    for model in Registry([folder]).scan():
        if model.path == path:
            if model.problem:
                raise KnownError(model.problem)
            _say(f"{name}: recognised as {model.kind}, {model.format}, family {model.family or '?'}")
            return model
    raise KnownError(f"{path} was not recognised as a model.")


def _painter(name: str) -> Callable[[Path, argparse.Namespace], dict[str, Any]]:
    def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
        from models.t2i.open import open_t2i

        description = _recognised(folder, name)
        begin = time.perf_counter()
        painter = open_t2i(description, backend="torch", device=options.device, dtype=options.dtype)
        loaded = time.perf_counter() - begin
        info = painter.info
        side = options.side
        spec = GenerationSpec(PROMPT, 7, side, side, 2, 5.0, "euler")
        marks = [time.perf_counter()]
        with tempfile.TemporaryDirectory() as out:
            for _ in painter.paint(spec, Path(out)):
                marks.append(time.perf_counter())
        second = marks[2] - marks[1]
        what = (
            f"{side} × {side} px, 2 steps, guidance, {info.device} {info.dtype}: {marks[-1] - marks[0]:.1f} s "
            f"({second:.1f} s a step, {marks[-1] - marks[-2]:.1f} s decoding)"
        )
        return _row(name, description.path, loaded, what)

    return measure


def _director(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    from models.mllm.llama import open_mllm

    description = _recognised(folder, "qwen")
    begin = time.perf_counter()
    mllm = open_mllm(description, n_ctx=4096)
    loaded = time.perf_counter() - begin
    with tempfile.TemporaryDirectory() as out:
        request = MllmRequest(
            (Message("user", "Draw this at night", (_picture(Path(out)),), turn=0),),
            Sampling(max_tokens=8),
            Decision(("<draw>",)),
        )
        events = list(mllm.generate(request))
    read = next(e for e in events if isinstance(e, Prefilled))
    wrote = next(e for e in events if isinstance(e, Generated))
    decided = next(e for e in events if isinstance(e, Decided))
    what = (
        f"a turn with a 224 × 224 px picture: {read.tokens} tokens read in {read.seconds:.1f} s, {wrote.tokens} "
        f"written, "
        f"{wrote.seconds:.1f} s in all; P(draw) {decided.p_draw:.1g}"
    )
    size = Path(description.mmproj).stat().st_size if description.mmproj else 0
    return _row("qwen", description.path, loaded, what, size)


def _picture(folder: Path) -> ImageRef:
    from PIL import Image

    path = folder / "picture.png"
    Image.radial_gradient("L").resize((224, 224)).convert("RGB").save(path)
    return ImageRef(str(path), "0" * 64, 224, 224)


def _row(name: str, path: str, loaded: float, what: str, more: int = 0) -> dict[str, Any]:
    size, cpu = Path(path).stat().st_size + more, time.process_time()
    return {"name": name, "file_bytes": size, "load_s": loaded, "what": what, "cpu_s": cpu, "peak": peak_memory()}


def peak_memory() -> int:
    """Largest resident memory of this process so far, bytes."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


MEASURES = {"sd15": _painter("sd15"), "sdxl": _painter("sdxl"), "qwen": _director}


def table(rows: list[Row]) -> str:
    """Markdown; GB are 10⁹ bytes."""
    lines = [
        "| model (random weights) | file | load | run | processor time | peak memory |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        size, peak = row.file_bytes / 1e9, row.peak / 1e9
        lines.append(
            f"| {row.name} | {size:.2f} GB | {row.load_s:.0f} s | {row.what} | {row.cpu_s:.0f} s | {peak:.1f} GB |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
