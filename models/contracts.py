"""The words the rooms of the house speak to each other: requests, replies, specs, events, errors.

Standard library only. Everything here is frozen and JSON-able (see `to_json` / `from_json`), so that it can cross a
process boundary or be stored. Knows nothing of models, files' contents, Qt or SQLite.
"""

import dataclasses
import functools
import types
import typing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

T = typing.TypeVar("T")

SCHEMA_VERSION = 1
SEED_MAX = 2**32 - 1
"""Largest seed; every back end, A1111 and ComfyUI accept 0..2**32-1."""


# ---------------------------------------------------------------- errors
class LimnerError(Exception):
    """Base of everything Limner raises on purpose."""

    code = "error"


class KnownError(LimnerError):
    """A fault of the user's environment or input: one plain sentence that says what to do. Never a bug of ours."""

    code = "known"


class BadModelError(KnownError):
    """A model file or folder is damaged, incomplete, mismatched or of a refused format."""

    code = "bad_model"


class BadInputError(KnownError):
    """The user's text, picture, seed or size cannot be used as it is."""

    code = "bad_input"


class OutOfMemoryError(KnownError):
    """The device has no room for the model or the picture."""

    code = "out_of_memory"


class StoreError(KnownError):
    """The session folder cannot be read or written (locked, full, read-only, newer version)."""

    code = "store"


class WorkerDiedError(KnownError):
    """A worker process ended in the middle of its work; it is started again at the next request."""

    code = "worker_died"


class Cancelled(LimnerError):
    """The user stopped the work. A normal outcome, not an error."""

    code = "cancelled"


ERRORS: dict[str, type[LimnerError]] = {
    e.code: e
    for e in (
        LimnerError, KnownError, BadModelError, BadInputError, OutOfMemoryError, StoreError, WorkerDiedError, Cancelled,
    )
}  # fmt: skip
"""Error class by wire code, so that a worker's known error is raised again as the same class in the parent."""


# ---------------------------------------------------------------- talking
class Modality(StrEnum):
    """What the answer is made of. AUTO leaves the decision to the MLLM (DialogGen §5.2)."""

    AUTO = "auto"
    TEXT = "text"
    IMAGE = "image"


@dataclass(frozen=True)
class ImageRef:
    """A picture file on this machine, known by its content. `number` is its number in the session, if it has one."""

    path: str
    sha256: str
    width: int
    height: int
    source: str = "upload"  # "upload" | "drawn"
    number: int | None = None


@dataclass(frozen=True)
class Message:
    """One message as the chat template sees it. Images come before the text, in order."""

    role: str  # "system" | "user" | "assistant"
    text: str
    images: tuple[ImageRef, ...] = ()
    turn: int | None = None
    """Index of the turn it belongs to (0 = oldest); None for the system part. Overflow removes whole turns."""


@dataclass(frozen=True)
class PastTurn:
    """A committed turn of the conversation's branch, oldest first in `TurnRequest.history`."""

    turn_id: str
    text: str
    images: tuple[ImageRef, ...]
    raw_output: str
    drawn: tuple[ImageRef, ...] = ()
    prompts: tuple[str, ...] = ()
    """Final prompts of the drawn pictures, in order."""
    seed: int | None = None


@dataclass(frozen=True)
class PaintOverrides:
    """What the artist set by hand; None means the model's own default."""

    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    scheduler: str | None = None
    negative_prompt: str | None = None
    count: int = 1
    strength: float | None = None


@dataclass(frozen=True)
class TurnRequest:
    """All that decides a turn, besides the models themselves."""

    turn_id: str
    text: str
    images: tuple[ImageRef, ...] = ()
    history: tuple[PastTurn, ...] = ()
    modality: Modality = Modality.AUTO
    seed: int = 0
    """Painting seed, 0..SEED_MAX, already chosen (locked, typed or rolled)."""
    mllm_seed: int = 0
    two_step: bool = False
    """DialogGen §5.2: first output, correction, final output."""
    overrides: PaintOverrides = PaintOverrides()
    schema: int = SCHEMA_VERSION


@dataclass(frozen=True)
class TextSegment:
    """Visible words of a reply."""

    text: str
    kind: str = "text"


@dataclass(frozen=True)
class DrawSegment:
    """A request to draw, as the director wrote it."""

    prompt: str
    action: str = "draw"  # "draw" | "edit"
    index: int | None = None
    """Slot or picture number where the protocol has one (NExT-GPT's [IMGi], SEED's, "the second one")."""
    kind: str = "draw"


Segment = TextSegment | DrawSegment


@dataclass(frozen=True)
class Reply:
    """A parsed output: text and drawing requests in order. `raw` is byte for byte what the MLLM wrote."""

    raw: str
    segments: tuple[Segment, ...]

    @property
    def say(self) -> str:
        """The visible words, segments joined by a blank line."""
        return "\n\n".join(s.text.strip() for s in self.segments if isinstance(s, TextSegment) and s.text.strip())

    @property
    def draws(self) -> tuple[DrawSegment, ...]:
        """The drawing requests in order."""
        return tuple(s for s in self.segments if isinstance(s, DrawSegment))

    @property
    def modality(self) -> Modality:
        """IMAGE if anything is to be drawn, else TEXT."""
        return Modality.IMAGE if self.draws else Modality.TEXT


@dataclass(frozen=True)
class Sampling:
    """Sampling of the MLLM. temperature 0 is greedy; top_k 0 and min_p 0 are off; seed 0..2**32-1."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    max_tokens: int = 512
    seed: int = 0


@dataclass(frozen=True)
class Decision:
    """How a protocol spells the modality switch, so that the MLLM can read P(draw) and be held to a modality.

    `openers` are strings that begin a drawing reply at the decision position (the start of the assistant's message).
    P(draw) is the summed probability of the openers, each a product over its tokens. With modality IMAGE the output is
    made to begin with `openers[0]`; with TEXT all `forbidden` strings are made impossible while decoding.
    """

    openers: tuple[str, ...]
    forbidden: tuple[str, ...] = ()


@dataclass(frozen=True)
class MllmRequest:
    """One generation. `messages` end with a user message; the assistant's answer is generated."""

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    decision: Decision | None = None
    modality: Modality = Modality.AUTO
    stop: tuple[str, ...] = ()
    grammar: str | None = None


# events of a generation, in this order: Prefilled, Decided?, Token*, Generated
@dataclass(frozen=True)
class Prefilled:
    """The prompt is in the KV cache. `dropped_turns` are the turn indices that left because the context was full."""

    tokens: int
    reused: int
    seconds: float
    dropped_turns: tuple[int, ...] = ()
    event: str = "prefilled"


@dataclass(frozen=True)
class Decided:
    """P(draw) read from the raw logits at the decision position (before any constraint), 0..1."""

    p_draw: float
    event: str = "decided"


@dataclass(frozen=True)
class Token:
    """A piece of raw output (tags included). Always whole Unicode characters."""

    text: str
    event: str = "token"


@dataclass(frozen=True)
class Generated:
    """The generation is over. finish: "stop" | "length" | "cancelled"."""

    raw: str
    finish: str
    tokens: int
    first_token_s: float
    seconds: float
    event: str = "generated"


MllmEvent = Prefilled | Decided | Token | Generated


# ---------------------------------------------------------------- painting
@dataclass(frozen=True)
class ModelRef:
    """Which model: its name and the sha256 that identifies its weights (of the file, or of a folder's manifest)."""

    name: str
    sha256: str


@dataclass(frozen=True)
class GenerationSpec:
    """Everything that makes a picture. Same spec, models, back end and device → the same bytes."""

    prompt: str
    seed: int
    width: int
    height: int
    steps: int
    guidance_scale: float
    scheduler: str
    negative_prompt: str = ""
    init_image: ImageRef | None = None
    mask_image: ImageRef | None = None
    strength: float = 1.0
    model: ModelRef | None = None
    backend: str = ""  # "torch" | "onnx"
    device: str = ""  # "cpu" | "cuda" | "mps"
    dtype: str = ""  # "fp32" | "fp16" | "bf16"
    consistency: str = "seed"
    """How it stays close to the picture before it: "seed" (locked seed, minimal prompt edit) | "none" | …"""
    schema: int = SCHEMA_VERSION


@dataclass(frozen=True)
class PromptTokens:
    """A prompt measured in the text encoder's own tokens. kept + dropped pieces rebuild the prompt, up to spaces."""

    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    limit: int


@dataclass(frozen=True)
class Step:
    """One denoising step is done. The preview, if any, travels as the frame's bytes (a small JPEG or PNG)."""

    index: int  # 1..total
    total: int
    preview: bytes | None = field(default=None, repr=False)
    event: str = "step"


@dataclass(frozen=True)
class Painted:
    """A picture file is written (temporary, in the folder that was asked for) and not yet in the store."""

    path: str
    width: int
    height: int
    spec: GenerationSpec
    """The spec as it was really used (device, dtype, scheduler, snapped size)."""
    seconds: float
    notes: tuple[str, ...] = ()
    """What the artist should know, e.g. "decoded again in fp32"."""
    event: str = "painted"


PaintEvent = Step | Painted


# ---------------------------------------------------------------- adapter
@dataclass(frozen=True)
class AdapterStep:
    """One recorded rewrite on the way from the director's words to the painter's prompt."""

    name: str  # e.g. "as written", "tidy", "translate", "style", "seed", "truncate"
    before: str
    after: str
    why: str = ""


# ---------------------------------------------------------------- model descriptions
@dataclass(frozen=True)
class ModelDescription:
    """A model found on disk by the registry, enough for a worker to load it. Paths are absolute strings."""

    name: str
    kind: str  # "mllm" | "t2i"
    path: str
    """The GGUF file, the .safetensors file, or the diffusers folder."""
    format: str  # "gguf" | "single_file" | "diffusers"
    family: str = ""
    """GGUF architecture ("qwen2vl", "llama"…) or pipeline family ("sd", "sdxl", "hunyuandit")."""
    sha256: str = ""
    bytes: int = 0
    license: str = ""
    languages: tuple[str, ...] = ("en",)
    protocol: str = ""
    mmproj: str | None = None
    adapters: tuple[str, ...] = ()
    """LoRA files to apply (GGUF for an MLLM, safetensors for a painter)."""
    onnx: str | None = None
    """Folder of the exported ONNX pipeline, if there is one."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """Sampling or painting defaults from the manifest."""
    limits: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    """One sentence if the model cannot be loaded as it lies there; empty if it looks whole."""


@dataclass(frozen=True)
class MllmInfo:
    """What a loaded MLLM is and can do."""

    model: ModelRef
    protocol: str
    vision: bool
    n_ctx: int
    sampling: Sampling
    languages: tuple[str, ...] = ("en",)
    architecture: str = ""


@dataclass(frozen=True)
class T2IInfo:
    """What a loaded painter is and can do. Sizes in pixels."""

    model: ModelRef
    family: str  # "sd" | "sdxl" | "hunyuandit" | …
    backend: str
    device: str
    dtype: str
    width: int
    height: int
    size_min: int
    size_max: int
    size_multiple: int
    steps: int
    guidance_scale: float
    scheduler: str
    schedulers: tuple[str, ...]
    negative_prompt: str = ""
    languages: tuple[str, ...] = ("en",)
    image_to_image: bool = False
    inpainting: bool = False


# ---------------------------------------------------------------- events of a turn (models.turn.run_turn)
@dataclass(frozen=True)
class TurnStage:
    """Where the turn is: "loading_mllm" | "reading" | "writing" | "loading_t2i" | "painting" | "correcting"."""

    stage: str
    event: str = "stage"


@dataclass(frozen=True)
class SayDelta:
    """Visible words to append to the chat; never contains a tag."""

    text: str
    event: str = "say"


@dataclass(frozen=True)
class DrawStarted:
    """The adapter has made a spec and the painter has it. `slot` counts the turn's pictures from 0."""

    slot: int
    spec: GenerationSpec
    steps: tuple[AdapterStep, ...]
    tokens: PromptTokens
    event: str = "draw_started"


@dataclass(frozen=True)
class DrawStep:
    """Progress of a slot."""

    slot: int
    step: Step
    event: str = "draw_step"


@dataclass(frozen=True)
class DrawDone:
    """A slot's picture is painted and waits for the store."""

    slot: int
    painted: Painted
    steps: tuple[AdapterStep, ...]
    tokens: PromptTokens
    event: str = "draw_done"


@dataclass(frozen=True)
class MllmPass:
    """One pass of the MLLM, kept for the inspector. role: "answer" | "correction" | "translation"."""

    role: str
    raw: str
    p_draw: float | None
    tokens_in: int
    tokens_reused: int
    tokens_out: int
    first_token_s: float
    seconds: float
    finish: str
    dropped_turns: tuple[int, ...] = ()


@dataclass(frozen=True)
class Timings:
    """Seconds."""

    first_token_s: float = 0.0
    mllm_s: float = 0.0
    t2i_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True)
class TurnDone:
    """The turn is over. finish: "done" | "cancelled" | "failed". What was written and painted before stays."""

    reply: Reply
    p_draw: float | None
    passes: tuple[MllmPass, ...]
    timings: Timings
    protocol: str
    mllm: ModelRef | None
    t2i: ModelRef | None
    finish: str = "done"
    error: str = ""
    """One sentence if finish is "failed": the words are there, but not all of what they asked for."""
    event: str = "done"


TurnEvent = TurnStage | Prefilled | Decided | SayDelta | DrawStarted | DrawStep | DrawDone | TurnDone


# ---------------------------------------------------------------- JSON
def to_json(value: Any) -> Any:
    """Frozen dataclasses (nested), enums and tuples → plain dicts, strings and lists. bytes become None: they travel
    beside the JSON, never inside it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [to_json(v) for v in value]
    if isinstance(value, dict):
        return {str(k): to_json(v) for k, v in value.items()}
    return None if isinstance(value, bytes) else value


def from_json(cls: type[T], data: Any) -> T:
    """The reverse of `to_json`. Unknown keys are ignored, so that an older Limner can read a newer record.

    Raises ValueError if a required key is missing or a value has the wrong shape.
    """
    try:
        return typing.cast(T, _read(cls, data))
    except (TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"{cls.__name__}: {error}") from None


def _read(kind: Any, data: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _read_union(typing.get_args(kind), data)
    if origin is tuple:
        return tuple(_read(typing.get_args(kind)[0], v) for v in data)
    if origin is dict:
        return {k: _read(typing.get_args(kind)[1], v) for k, v in data.items()}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _read_dataclass(kind, data)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(data)
    return float(data) if kind is float and isinstance(data, int) else data


def _read_union(kinds: tuple[Any, ...], data: Any) -> Any:
    if data is None:
        return None
    kinds = tuple(k for k in kinds if k is not type(None))
    if isinstance(data, dict):
        for mark in ("event", "kind"):
            for k in kinds:
                if dataclasses.is_dataclass(k) and mark in data and getattr(k, mark, None) == data[mark]:
                    return _read(k, data)
    return _read(kinds[0], data)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """Resolving the annotations takes far longer than reading a record, and every frame and every row needs it."""
    return typing.get_type_hints(kind)


def _read_dataclass(kind: type, data: Any) -> Any:
    if not isinstance(data, dict):
        raise ValueError(f"{kind.__name__}: expected an object, got {type(data).__name__}")
    hints = _hints(kind)
    known = {f.name: _read(hints[f.name], data[f.name]) for f in dataclasses.fields(kind) if f.name in data}
    try:
        return kind(**known)
    except TypeError as error:
        raise ValueError(str(error)) from None
