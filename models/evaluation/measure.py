"""Measurements that need a model in the measuring process: `limner --measure PART`, one JSON object as the last line.

Parts: devices, first_token, painter, bare_turn. Each runs in a process of its own, started by `desktop.measure` or
`desktop.bench`, so that neither the window nor the command line ever loads a model. Knows nothing of stores or windows.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from models.contracts import KnownError, ModelDescription, from_json


def main(argv: Sequence[str]) -> int:
    """`PART [JSON argument…]`; exit code 3 and one sentence on stderr for a known error."""
    if not argv or argv[0] not in PARTS:
        print(f"usage: --measure {'|'.join(PARTS)}", file=sys.stderr)
        return 2
    try:
        result = PARTS[argv[0]](*argv[1:])
    except KnownError as error:
        print(str(error), file=sys.stderr)
        return 3
    if result is not None:
        print(json.dumps(result))
    return 0


def _description(text: str) -> ModelDescription:
    return from_json(ModelDescription, json.loads(text))


def devices() -> dict[str, Any]:
    """What can compute here, as facts and in words."""
    from models.devices import examine

    return examine()


def first_token(description: str) -> dict[str, Any]:
    """Seconds to the first token at turns 1, 2, 5 and 20 of a conversation with pictures, ours and the library's."""
    from models.mllm.bench import first_token_by_turn

    return first_token_by_turn(_description(description), turns=(1, 2, 5, 20))


def painter(description: str) -> dict[str, Any]:
    """Seconds per picture with torch and ONNX Runtime, alternating, and their ratio."""
    from models.t2i.bench import compare_backends

    return compare_backends(_description(description))


def bare_turn(mllm: str, t2i: str) -> None:
    """Do drawn turns with the bare libraries: for each JSON line on stdin, print the seconds one turn took.

    A line holds {text, system, max_tokens, spec}: what the engine's own turn of the same round was asked and made.
    """
    talk, paint = _bare_llama(_description(mllm)), _bare_diffusers(_description(t2i))
    print("ready", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            job = json.loads(line)
            start = time.perf_counter()
            talk(job)
            paint(job["spec"], Path(folder) / "picture.png")
            print(time.perf_counter() - start, flush=True)


def _bare_llama(description: ModelDescription) -> Callable[[dict[str, Any]], None]:
    from llama_cpp import Llama

    llama = Llama(description.path, n_ctx=4096, verbose=False)

    def talk(job: dict[str, Any]) -> None:
        messages = [{"role": "system", "content": job["system"]}, {"role": "user", "content": job["text"]}]
        llama.reset()
        stream = llama.create_chat_completion(messages, temperature=0.0, max_tokens=job["max_tokens"], stream=True)  # type: ignore[arg-type]
        for _ in stream:
            pass

    return talk


def _bare_diffusers(description: ModelDescription) -> Callable[[dict[str, Any], Path], None]:
    import torch
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(
        description.path, torch_dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)

    def paint(spec: dict[str, Any], target: Path) -> None:
        image = pipeline(
            spec["prompt"],
            negative_prompt=spec["negative_prompt"] or None,
            num_inference_steps=spec["steps"],
            guidance_scale=spec["guidance_scale"],
            width=spec["width"],
            height=spec["height"],
            generator=torch.Generator("cpu").manual_seed(spec["seed"]),
        ).images[0]
        image.save(target)

    return paint


PARTS: dict[str, Callable[..., Any]] = {
    "devices": devices,
    "first_token": first_token,
    "painter": painter,
    "bare_turn": bare_turn,
}
