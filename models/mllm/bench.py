"""Measures a director: time to its first token at growing turns, against the library's own handler, and its speed.

Both hold the same conversation with pictures in the same run, so that ratios mean something on a busy machine. Knows
neither the engine nor the store.
"""

import base64
import contextlib
import hashlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from models.contracts import Generated, ImageRef, Message, MllmRequest, ModelDescription, Prefilled, Sampling
from models.mllm.llama import LlamaMllm, open_mllm

PICTURE_EVERY = 4
_ANSWER_TOKENS = 24
_SYSTEM = "You are a helpful painter. Answer in a sentence, or say what to draw."
_HELLO = MllmRequest((Message("user", "Hello", turn=0),), Sampling(max_tokens=2))
_SUBJECTS = ("red fox", "blue owl", "small boat", "green apple", "white cat", "old castle", "yellow bird")


def first_token_by_turn(
    description: ModelDescription, turns: Sequence[int] = (1, 2, 5, 20), pictures: bool = True
) -> dict[str, dict[str, float]]:
    """Seconds from the request to the first token at each of `turns` (counted from 1): {"ours": {...}, "stock": {...}}.

    "stock" is llama-cpp-python's own chat handler for the same files, given the same messages. With `pictures` (and a
    model with vision) every fourth turn, beginning with the second, shows one.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(open_mllm(description)) as mllm:
        for _ in mllm.generate(_HELLO):
            pass  # the first call of a process reads the weights from disk; not what is measured
        chat = _Conversation(Path(folder), pictures and mllm.info.vision)
        ours = {str(turn): seconds for turn, seconds in _talk(mllm, chat, max(turns)) if turn in turns}
        stock = _stock_times(description, mllm.info.architecture, chat, turns)
    return {"ours": ours, "stock": stock}


def tokens_per_second(description: ModelDescription, tokens: int = 64) -> dict[str, float]:
    """Speed of reading a prompt and of writing an answer, in tokens per second: {"read": …, "write": …}."""
    with contextlib.closing(open_mllm(description)) as mllm:
        text = " ".join(_SUBJECTS * 20)
        request = MllmRequest((Message("user", text, turn=0),), Sampling(temperature=1.0, max_tokens=tokens))
        for event in mllm.generate(request):
            if isinstance(event, Prefilled):
                read = event.tokens / event.seconds
            elif isinstance(event, Generated):
                written = event
    return {"read": read, "write": max(0, written.tokens - 1) / max(written.seconds - written.first_token_s, 1e-9)}


class _Conversation:
    """Turns of a made-up conversation; answers are filled in as ours are written."""

    def __init__(self, folder: Path, pictures: bool) -> None:
        self._folder, self._pictures = folder, pictures
        self.messages: list[Message] = [Message("system", _SYSTEM)]

    def ask(self, turn: int) -> None:
        """Add the user's message of a turn (from 1)."""
        subject = _SUBJECTS[turn % len(_SUBJECTS)]
        text = f"Turn {turn}: please show me a {subject} in the snow at night, and tell me what you see there."
        images = (self._picture(turn),) if self._pictures and turn % PICTURE_EVERY == 2 else ()
        self.messages.append(Message("user", text, images, turn))

    def until(self, turn: int) -> list[Message]:
        """All messages up to the question of a turn."""
        return [m for m in self.messages if m.turn is None or m.turn < turn or (m.turn == turn and m.role == "user")]

    def _picture(self, turn: int) -> ImageRef:
        image = Image.new("RGB", (256, 256), (40 * turn % 256, 80, 160))
        ImageDraw.Draw(image).ellipse((turn * 3, 40, 120 + turn * 3, 160), fill=(250, 200, 20 * turn % 256))
        path = self._folder / f"{turn}.png"
        image.save(path)
        return ImageRef(str(path), hashlib.sha256(path.read_bytes()).hexdigest(), 256, 256)


def _talk(mllm: LlamaMllm, chat: _Conversation, last: int) -> Iterator[tuple[int, float]]:
    """Hold the conversation; yields (turn, seconds to the first token)."""
    for turn in range(1, last + 1):
        chat.ask(turn)
        sampling = Sampling(temperature=1.0, seed=turn, max_tokens=_ANSWER_TOKENS)
        *_, done = mllm.generate(MllmRequest(tuple(chat.messages), sampling))
        assert isinstance(done, Generated)
        chat.messages.append(Message("assistant", done.raw, turn=turn))
        yield turn, done.first_token_s


def _stock_times(
    description: ModelDescription, architecture: str, chat: _Conversation, turns: Sequence[int]
) -> dict[str, float]:
    llama = _open_stock(description, architecture)
    try:
        _stock_first_token(llama, list(_HELLO.messages))  # the first call also loads the vision part
        return {str(turn): _stock_first_token(llama, chat.until(turn)) for turn in turns}
    finally:
        llama.close()


def _open_stock(description: ModelDescription, architecture: str) -> Any:
    from llama_cpp import Llama
    from llama_cpp.llama_chat_format import MTMDChatHandler, Qwen25VLChatHandler

    from models.mllm.native import cores

    handler = None
    if description.mmproj:
        kind = Qwen25VLChatHandler if architecture == "qwen2vl" else MTMDChatHandler
        handler = kind(description.mmproj, verbose=False)
    return Llama(description.path, n_ctx=4096, n_threads=cores(), chat_handler=handler, verbose=False)


def _stock_first_token(llama: Any, messages: list[Message]) -> float:
    start = time.perf_counter()
    stream = llama.create_chat_completion(
        [_as_openai(m) for m in messages], stream=True, max_tokens=2, temperature=1.0, seed=1
    )
    for chunk in stream:
        if chunk["choices"][0]["delta"].get("content"):
            break
    seconds = time.perf_counter() - start
    stream.close()
    return seconds


def _as_openai(message: Message) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.text}
    items: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_base64(ref)}"}} for ref in message.images
    ]
    return {"role": message.role, "content": [*items, {"type": "text", "text": message.text}]}


def _base64(ref: ImageRef) -> str:
    return base64.b64encode(Path(ref.path).read_bytes()).decode()
