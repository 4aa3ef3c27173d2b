"""A worker for tests: the real serve loop around handlers that provoke one fault each. Started as a script."""

import ctypes
import os
import signal
import sys
import time
from typing import Any

from models.contracts import (
    BadInputError,
    BadModelError,
    Cancelled,
    Generated,
    GenerationSpec,
    MllmInfo,
    ModelRef,
    Painted,
    Prefilled,
    PromptTokens,
    Sampling,
    Step,
    T2IInfo,
    Token,
    from_json,
)
from models.workers import serve
from models.workers.serve import Call

state: dict[str, Any] = {}


def load(call: Call) -> Any:
    """The model's path says what is wrong with it."""
    name, path = call.params["description"]["name"], call.params["description"]["path"]
    call.emit({"stage": "loading"})
    if path == "slow":
        time.sleep(600)
    if path == "dies":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path == "damaged":
        raise BadModelError("The model is damaged.")
    ref = ModelRef(name, str(os.getpid()))
    if sys.argv[1] == "mllm":
        return MllmInfo(ref, "dialoggen", False, 512, Sampling())
    return T2IInfo(ref, "sd", "torch", "cpu", "fp32", 64, 64, 64, 64, 8, 2, 1.0, "euler", ("euler",))


def generate(call: Call) -> None:
    """What to do is the text of the request's last message: a word and perhaps a number."""
    word, _, rest = call.params["request"]["messages"][-1]["text"].partition(" ")
    FAULTS[word](call, rest)


def say(call: Call, rest: str) -> None:
    call.emit(Prefilled(3, 0, 0.0))
    for piece in rest.split():
        call.emit(Token(piece))
    call.emit(Generated(rest, "stop", len(rest.split()), 0.0, 0.0))


def count(call: Call, _rest: str) -> None:
    """Tokens until cancelled."""
    call.emit(Prefilled(3, 0, 0.0))
    number = 0
    while not call.cancelled():
        call.emit(Token(f"{number} "))
        number += 1
        time.sleep(0.002)
    call.emit(Generated("", "cancelled", number, 0.0, 0.0))


def hang(call: Call, _rest: str) -> None:
    call.emit(Token("before"))
    time.sleep(600)


def die(call: Call, rest: str) -> None:
    call.emit(Token("before"))
    os.kill(os.getpid(), int(rest))


def leave(call: Call, rest: str) -> None:
    os._exit(int(rest))


def native_print(call: Call, _rest: str) -> None:
    """As C code does: through the C library and straight to descriptor 1, in the middle of a stream of frames."""
    libc = ctypes.CDLL(None)
    for number in range(50):
        libc.printf(b"LMNR native noise %d\n", number)
        libc.fflush(None)
        os.write(1, b"raw noise\n")
        print("python noise", flush=True)
        call.emit(Token(f"{number}"))
    call.emit(Generated("", "stop", 50, 0.0, 0.0))


def garbage(call: Call, _rest: str) -> None:
    """Bytes that are no frame, in the very pipe of the frames."""
    call.emit(Token("before"))
    os.write(state["sink"], b"this is not a frame")
    time.sleep(600)


def bug(call: Call, rest: str) -> None:
    raise ZeroDivisionError(rest)


def known(call: Call, rest: str) -> None:
    raise BadInputError(rest)


def memory_error(call: Call, _rest: str) -> None:
    raise MemoryError


def stop(call: Call, _rest: str) -> None:
    raise Cancelled("Stopped.")


def network(call: Call, _rest: str) -> None:
    import socket

    with socket.socket() as connection:
        connection.connect(("127.0.0.1", 9))


def read_stdin(call: Call, _rest: str) -> None:
    call.emit(Generated(repr(os.read(0, 10)), "stop", 0, 0.0, 0.0))


def paint(call: Call) -> None:
    """Two steps, the first with a preview; a spec of many steps paints until it is cancelled."""
    spec = from_json(GenerationSpec, call.params["spec"])
    call.emit(Step(1, spec.steps), b"\x00\xffpicture")
    for index in range(2, spec.steps + 1):
        if call.cancelled():
            raise Cancelled("Stopped.")
        call.emit(Step(index, spec.steps))
        time.sleep(0.002)
    call.emit(Painted(os.path.join(call.params["folder"], "picture.png"), 64, 64, spec, 0.1))  # noqa: PTH118


def export_onnx(call: Call) -> str:
    """Leaves the target's name as its result; a target called "slow" never ends."""
    call.emit({"stage": "unet"})
    if call.params["target"].endswith("slow"):
        time.sleep(600)
    return str(call.params["target"])


FAULTS = {
    "say": say, "count": count, "hang": hang, "die": die, "leave": leave, "print": native_print, "garbage": garbage,
    "bug": bug, "known": known, "memory": memory_error, "stop": stop, "network": network, "stdin": read_stdin,
}  # fmt: skip

HANDLERS = {
    "load": load,
    "generate": generate,
    "count_tokens": lambda call: len(call.params["text"]),
    "paint": paint,
    "measure": lambda call: PromptTokens((call.params["prompt"],), (), 77),
    "export_onnx": export_onnx,
}


def claim_pipes() -> tuple[int, int]:
    """The real one; the sink is kept for the fault that writes into it."""
    source, state["sink"] = claim()
    return source, state["sink"]


claim, serve.claim_pipes = serve.claim_pipes, claim_pipes

if __name__ == "__main__":
    serve.serve(lambda: HANDLERS)
