"""The director on llama.cpp: opens a GGUF (with mmproj and LoRA adapters) and answers requests as a stream of events.

Puts the pieces of this folder together. Knows no protocol, no adapter, no painter.
"""

import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.contracts import (
    BadInputError,
    BadModelError,
    Cancelled,
    Decided,
    Generated,
    MllmEvent,
    MllmInfo,
    MllmRequest,
    Modality,
    ModelDescription,
    ModelRef,
    Prefilled,
    Sampling,
    Token,
)
from models.gguf_header import GgufHeader
from models.mllm.base import CancelCheck
from models.mllm.chat_template import CHATML, ChatTemplate
from models.mllm.decision import Ban, PieceIndex, draw_probability
from models.mllm.loading import ModelFiles, check_files, has_picture_positions
from models.mllm.native import NativeModel
from models.mllm.output import OutputText
from models.mllm.prefix_cache import PrefixCache
from models.mllm.prompt import PromptBuilder
from models.mllm.sampling import Sampler
from models.mllm.vision import Vision
from models.mllm.vocabulary import Vocabulary

_TRAINED = ("dialoggen", "limner")


def open_mllm(
    description: ModelDescription, *, n_ctx: int = 4096, n_threads: int | None = None, n_gpu_layers: int | None = None
) -> "LlamaMllm":
    """Load a model. n_ctx is cut to what the model was trained for; None means the cores and GPU layers there are.

    Raises BadModelError for files that are damaged, cut off, mismatched or of an unknown architecture (checked before
    llama.cpp sees them), OutOfMemoryError if there is no room.
    """
    files = check_files(description)
    native = NativeModel(
        Path(files.model.path), files.adapters, n_ctx=n_ctx, n_threads=n_threads, n_gpu_layers=n_gpu_layers
    )
    vision = None
    try:
        vision = Vision(Path(files.mmproj.path), files.mmproj, native) if files.mmproj else None
        return LlamaMllm(description, files, native, vision)
    except BaseException:
        if vision is not None:
            vision.close()
        native.close()
        raise


class LlamaMllm:
    """A loaded MLLM (see `models.mllm.base.Mllm`). One owner thread; one generation at a time.

    On the CPU the same request gives the same answer whatever was in the cache before, bit for bit up to 512 tokens of
    context; beyond, roundings differ a little between written and read tokens (see `native.CPU_READING_BATCH`).
    """

    def __init__(
        self, description: ModelDescription, files: ModelFiles, native: NativeModel, vision: Vision | None
    ) -> None:
        self._native, self._vision = native, vision
        self._vocabulary = Vocabulary(native.vocabulary)
        self._index = PieceIndex(self._vocabulary.pieces)
        template = ChatTemplate(
            _template_source(files.model, self._vocabulary), _named_specials(files.model, self._vocabulary)
        )
        blind = _why_blind(description, files.model)
        self.prompts = PromptBuilder(description.name, self._vocabulary, template, vision, native.n_ctx, blind)
        self.cache = PrefixCache(native, vision)
        self._never = _never_written(self._vocabulary, self.prompts.structural)
        self._info = _info(description, files.model, native, vision is not None, self._vocabulary)

    @property
    def info(self) -> MllmInfo:
        """What is loaded and what it can do."""
        return self._info

    def close(self) -> None:
        """Free the model. May be called twice."""
        if self._vision is not None:
            self._vision.close()
        self._native.close()

    def count_tokens(self, text: str) -> int:
        """Tokens of a text in this model's vocabulary, without template or specials."""
        return self._vocabulary.count(text)

    def generate(self, request: MllmRequest, cancelled: CancelCheck = lambda: False) -> Iterator[MllmEvent]:
        """See `Mllm.generate`. Raises BadInputError for input that cannot be used, before anything is evaluated."""
        start = time.perf_counter()
        native = self._native
        sampler = Sampler(request.sampling, native.n_vocab, native.vocabulary, request.grammar)
        try:
            prompt = self.prompts.build(request.messages, request.sampling.max_tokens)
            forced = self._forced(request, sampler)
            reused = self.cache.reuse(prompt.cells)
            self.cache.advance(prompt.cells, prompt.pictures, cancelled)
            yield Prefilled(prompt.tokens, reused, time.perf_counter() - start, prompt.dropped_turns)
            logits = native.logits()
            if request.decision is not None:
                yield Decided(draw_probability(logits, request.decision.openers, self._index, self.cache.peek))
            room = min(request.sampling.max_tokens, native.n_ctx - prompt.tokens - 1)
            writer = _Writer(self._native, self._vocabulary, self.cache, sampler, self._ban(request))
            try:
                yield from writer.write(logits, forced, room, request.stop, cancelled, start)
            finally:
                if writer.tokens and not writer.output.stopped:
                    self.prompts.remember(writer.output.raw, writer.tokens)
        except Cancelled:
            yield Generated("", "cancelled", 0, 0.0, time.perf_counter() - start)
        finally:
            sampler.close()

    def _ban(self, request: MllmRequest) -> Ban:
        """What this answer must not contain: with modality TEXT everything that would be a drawing request."""
        decision = request.decision
        if request.modality is not Modality.TEXT or decision is None:
            return Ban((), self._never, self._index)
        return Ban(decision.forbidden or decision.openers, self._never, self._index)

    def _forced(self, request: MllmRequest, sampler: Sampler) -> list[int]:
        """The tokens an answer with modality IMAGE must begin with."""
        if request.modality is not Modality.IMAGE or request.decision is None or not request.decision.openers:
            return []
        opener = request.decision.openers[0]
        tokens = self._vocabulary.tag(opener)
        if not sampler.allows(tokens[0]):
            raise BadInputError(f"The grammar does not let an answer begin with {opener}; change one of the two.")
        return tokens


class _Writer:
    """Writes one answer, token by token, into the KV cache and out as text."""

    def __init__(
        self, native: NativeModel, vocabulary: Vocabulary, cache: PrefixCache, sampler: Sampler, ban: Ban
    ) -> None:
        self._native, self._vocabulary, self._cache, self._sampler, self._ban = native, vocabulary, cache, sampler, ban
        self.tokens: list[int] = []
        self.output = OutputText(())
        self._bytes = b""
        self._first: float | None = None

    def write(
        self, logits: NDArray[np.float32], forced: list[int], room: int, stop: tuple[str, ...], cancelled: CancelCheck,
        start: float,
    ) -> Iterator[MllmEvent]:  # fmt: skip
        """Yield Tokens, then Generated. `forced` tokens come first; at most `room` tokens; times count from `start`."""
        self.output = OutputText(stop)
        finish = "length"
        while len(self.tokens) < room:
            if cancelled():
                finish = "cancelled"
                break
            if self.tokens:
                self._cache.append(self.tokens[-1])
                logits = self._native.logits()
            if (token := self._next(logits, forced)) is None:
                finish = "stop"
                break
            if text := self._take(token):
                yield Token(text)
            if self.output.stopped:
                finish = "stop"
                break
        if rest := self.output.finish():
            yield Token(rest)
        now = time.perf_counter()
        yield Generated(
            self.output.raw, finish, len(self.tokens), (self._first or now) - start, now - start
        )  # fmt: skip

    def _next(self, logits: NDArray[np.float32], forced: list[int]) -> int | None:
        """The next token; None at the end of the answer."""
        at = len(self.tokens)
        if at < len(forced):
            token: int | None = forced[at]
            if not self._sampler.allows(forced[at]):
                raise BadInputError("The grammar does not let an answer begin with a drawing request; leave it out.")
        else:
            token = self._sampler.pick(logits, self._ban.tokens(self._bytes))
        self._first = self._first or time.perf_counter()
        return None if token is None or token in self._vocabulary.eog else token

    def _take(self, token: int) -> str:
        self._sampler.accept(token)
        self.tokens.append(token)
        piece = self._vocabulary.piece(token)
        self._bytes += piece
        return self.output.feed(piece)


def _template_source(header: GgufHeader, vocabulary: Vocabulary) -> str:
    if header.chat_template.strip():
        return header.chat_template
    if "<|im_start|>" in vocabulary.specials:
        return CHATML
    raise BadModelError(f"{Path(header.path).name} has no chat template; choose a chat or instruct model.")


def _named_specials(header: GgufHeader, vocabulary: Vocabulary) -> dict[str, str]:
    """What transformers passes to a template: bos_token, eos_token… as text."""
    keys = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
    ids = {name: header.kv.get(f"tokenizer.ggml.{key}_token_id") for name, key in keys.items()}
    return {
        f"{name}_token": vocabulary.piece(int(i)).decode("utf-8", "replace") for name, i in ids.items() if i is not None
    }


def _never_written(vocabulary: Vocabulary, structural: frozenset[str]) -> frozenset[int]:
    """Control tokens that build the chat, besides those that end a message: an answer never contains them."""
    return frozenset({vocabulary.specials[text] for text in structural} & vocabulary.control - vocabulary.eog)


def _why_blind(description: ModelDescription, header: GgufHeader) -> str:
    if has_picture_positions(header) and not description.mmproj:
        return (
            f"{description.name} cannot see pictures because its vision part is missing; put its mmproj file beside "
            f"{Path(header.path).name}, or leave the picture out."
        )
    what_to_do = "choose a model with vision or leave the picture out"
    return f"{description.name} cannot see pictures, it only reads text; {what_to_do}."


def _info(
    description: ModelDescription, header: GgufHeader, native: NativeModel, vision: bool, vocabulary: Vocabulary
) -> MllmInfo:
    name = description.name.lower()
    trained = "<draw>" in vocabulary.specials or any(word in name for word in _TRAINED)
    return MllmInfo(
        model=ModelRef(description.name, description.sha256),
        protocol=description.protocol or ("dialoggen" if trained else "mini_dalle3"),
        vision=vision,
        n_ctx=native.n_ctx,
        sampling=_sampling(description.defaults),
        languages=description.languages,
        architecture=header.architecture,
    )


def _sampling(defaults: dict[str, Any]) -> Sampling:
    """The manifest's sampling defaults; keys of other things are left alone."""
    plain = Sampling()
    known = {f.name: type(getattr(plain, f.name))(defaults[f.name]) for f in fields(Sampling) if f.name in defaults}
    return replace(plain, **known)
