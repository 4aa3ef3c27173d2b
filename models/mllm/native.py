"""One llama.cpp model with its context: loading, decoding tokens, reading logits, moving about in the KV cache.

A thin layer over llama-cpp-python's low-level bindings. Knows no chat, no template, no pictures and no prefix cache.
llama.cpp's own chatter goes to Python logging at debug level.
"""

import collections
import ctypes
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Before llama.cpp loads OpenMP (so it is imported here alone): its threads spin while they wait for each other,
# and on a machine that is busy with something else a token then takes seconds instead of hundredths of a second.
# Waiting a moment before going to sleep (GNU OpenMP counts turns) gives back the two thirds of a quiet machine's speed.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

import llama_cpp.llama_cpp as lib
import llama_cpp.mtmd_cpp as mtmd
import numpy as np
import psutil
from numpy.typing import NDArray

from models.contracts import BadModelError, OutOfMemoryError

log = logging.getLogger(__name__)

BATCH = 512
"""Most tokens one llama_decode call may carry; also room for a picture that must be decoded in one piece."""
CPU_READING_BATCH = 48
"""Batches of 64 tokens and more go through another attention kernel with other roundings (up to 1.0 in a logit of a
small quantized model). Below, reading gives the same bits however it is cut up; it costs a fifth of the reading speed.
Beyond 512 cells single tokens have a kernel of their own too, so what was written then differs from what is read."""
MAIN, BRANCH = 0, 1
"""Sequences of the KV cache: the conversation, and a throw-away branch in which tokens can be tried out."""

_errors: collections.deque[str] = collections.deque(maxlen=20)


@lib.llama_log_callback
def _to_logging(level: int, text: bytes, _data: Any) -> None:
    line = text.decode("utf-8", "replace").rstrip()
    if level == 4:  # GGML_LOG_LEVEL_ERROR
        _errors.append(line)
    if line:
        log.debug("%s", line)


def quiet() -> None:
    """Send the messages of llama.cpp, ggml and mtmd to Python logging instead of stderr."""
    lib.llama_log_set(_to_logging, ctypes.c_void_p(0))
    mtmd.mtmd_helper_log_set(_to_logging, ctypes.c_void_p(0))


def cores() -> int:
    """Physical cores this process may use: hyper-threads slow llama.cpp down."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


class NativeModel:
    """A model and one context of `n_ctx` cells, on the CPU or the GPU. Call `close` to free both."""

    def __init__(
        self, path: Path, adapters: Sequence[Path], *, n_ctx: int, n_threads: int | None, n_gpu_layers: int | None
    ) -> None:
        """Load. n_gpu_layers None: all layers where the library can offload, else none.

        Raises BadModelError if llama.cpp refuses the file or an adapter, OutOfMemoryError if there is no room.
        """
        quiet()
        lib.llama_backend_init()
        self.path = path
        self.threads = n_threads or cores()
        offload = bool(lib.llama_supports_gpu_offload())
        self.gpu_layers = (-1 if offload else 0) if n_gpu_layers is None else n_gpu_layers
        self.on_gpu = offload and self.gpu_layers != 0
        self.model: Any = None
        self.context: Any = None
        self.model = self._load_model()
        try:
            self.context = self._new_context(n_ctx)
            self._apply_adapters(adapters)
        except BaseException:
            self.close()
            raise
        self.memory = lib.llama_get_memory(self.context)
        self.vocabulary = lib.llama_model_get_vocab(self.model)
        self.n_vocab = int(lib.llama_vocab_n_tokens(self.vocabulary))
        self.n_ctx = int(lib.llama_n_ctx_seq(self.context))
        self.embedding_floats = int(lib.llama_model_n_embd_inp(self.model))
        self._batch = lib.llama_batch_init(BATCH, 0, 1)
        self.reading_batch = 256 if self.on_gpu else CPU_READING_BATCH
        """Tokens to read between two looks at the stop button."""

    def close(self) -> None:
        """Free the context and the model. May be called twice."""
        if getattr(self, "_batch", None) is not None:
            lib.llama_batch_free(self._batch)
            self._batch = None
        if self.context is not None:
            lib.llama_free(self.context)
            self.context = None
        if self.model is not None:
            lib.llama_model_free(self.model)
            self.model = None

    def decode(self, tokens: Sequence[int], position: int, sequence: int = MAIN, logits: bool = False) -> None:
        """Evaluate 1..BATCH tokens at `position`… of `sequence`; with `logits`, those of the last token are kept.

        Raises OutOfMemoryError if llama.cpp cannot; the cache may then hold part of the tokens.
        """
        batch = self._batch
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i] = token
            batch.pos[i] = position + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = 0
        batch.logits[len(tokens) - 1] = int(logits)
        code = lib.llama_decode(self.context, batch)
        if code != 0:
            raise OutOfMemoryError(
                f"The model could not go on reading (llama.cpp code {code}); "
                "close other programs or choose a smaller model or context."
            )

    def logits(self) -> NDArray[np.float32]:
        """A copy of the raw logits of the last token that was decoded with `logits=True`. Shape [n_vocab]."""
        pointer = lib.llama_get_logits_ith(self.context, -1)
        return np.ctypeslib.as_array(pointer, shape=(self.n_vocab,)).copy()

    def forget(self, position: int, sequence: int = MAIN) -> bool:
        """Drop everything at `position` and after. False if this model's memory cannot be cut (recurrent models)."""
        return bool(lib.llama_memory_seq_rm(self.memory, sequence, position, -1))

    def clear(self) -> None:
        """Empty the KV cache."""
        lib.llama_memory_clear(self.memory, True)

    def branch(self) -> None:
        """Make BRANCH a copy of MAIN. Cells are shared, so it costs nothing; drop it with `forget(-1, BRANCH)`."""
        lib.llama_memory_seq_rm(self.memory, BRANCH, -1, -1)
        lib.llama_memory_seq_cp(self.memory, MAIN, BRANCH, -1, -1)

    def _load_model(self) -> Any:
        params = lib.llama_model_default_params()
        params.n_gpu_layers = self.gpu_layers
        _errors.clear()
        model = lib.llama_model_load_from_file(str(self.path).encode(), params)
        if not model:
            raise BadModelError(f"{self.path.name} cannot be loaded ({_reason()}); choose another model file.")
        if not lib.llama_model_has_decoder(model) or lib.llama_model_has_encoder(model):
            lib.llama_model_free(model)
            raise BadModelError(f"{self.path.name} is not a chat model; choose a GGUF of a chat or instruct model.")
        return model

    def _new_context(self, n_ctx: int) -> Any:
        params = lib.llama_context_default_params()
        trained = int(lib.llama_model_n_ctx_train(self.model))
        params.n_ctx = min(n_ctx, trained) if trained > 0 else n_ctx
        params.n_batch = params.n_ubatch = BATCH
        params.n_seq_max = 2
        params.kv_unified = True  # both sequences share the cells, so a branch needs no room of its own
        params.n_outputs_max = 2  # logits of one token are enough; the default reserves BATCH × vocabulary floats
        params.n_threads = params.n_threads_batch = self.threads
        _errors.clear()
        context = lib.llama_init_from_model(self.model, params)
        if not context:
            raise OutOfMemoryError(
                f"There is no room for {self.path.name} with a context of {params.n_ctx} tokens ({_reason()}); "
                "close other programs or choose a smaller model."
            )
        return context

    def _apply_adapters(self, adapters: Sequence[Path]) -> None:
        if not adapters:
            return
        handles = []
        for path in adapters:
            _errors.clear()
            handle = lib.llama_adapter_lora_init(self.model, str(path).encode())
            if not handle:  # a typed pointer: NULL is falsy, not None
                raise BadModelError(f"The adapter {path.name} does not fit {self.path.name} ({_reason()}); remove it.")
            handles.append(handle)
        array = (lib.llama_adapter_lora_p_ctypes * len(handles))(*handles)
        scales = (ctypes.c_float * len(handles))(*[1.0] * len(handles))
        if lib.llama_set_adapters_lora(self.context, array, len(handles), scales) != 0:
            raise BadModelError(f"The adapters could not be applied to {self.path.name}; remove them.")


def _reason() -> str:
    """The most telling line llama.cpp has written about a failure."""
    lines = [line for line in _errors if line]
    for line in lines:
        if "error loading model" in line or "unknown model architecture" in line:
            return line.split("error loading model:")[-1].strip()
    return lines[0] if lines else "llama.cpp gives no reason"
