"""What the store hands out: plain frozen records. Knows no SQL and no Qt."""

from dataclasses import dataclass

from models.contracts import (
    AdapterStep,
    GenerationSpec,
    ImageRef,
    MllmPass,
    Modality,
    ModelRef,
    PaintOverrides,
    PromptTokens,
    Reply,
    Timings,
)


@dataclass(frozen=True)
class SessionRecord:
    """One conversation. `head` is the turn the artist stands on (a leaf or any turn of the tree)."""

    id: str
    title: str
    created: float
    updated: float
    head: str | None
    seed: int
    seed_locked: bool
    turns: int = 0
    pictures: int = 0
    cover: str | None = None
    """Path of the newest picture."""


@dataclass(frozen=True)
class PictureRecord:
    """A drawn picture that is on disk and verified. `number` counts the session's pictures from 1 and never changes."""

    sha256: str
    path: str
    turn_id: str
    session_id: str
    slot: int
    number: int
    width: int
    height: int
    created: float
    spec: GenerationSpec
    steps: tuple[AdapterStep, ...]
    tokens: PromptTokens
    seconds: float
    starred: bool = False
    missing: bool = False
    """Its file is gone. Only `Store.replay_specs` hands out such records: the spec can still be painted again."""

    def ref(self) -> ImageRef:
        """The picture as it is put to a model."""
        return ImageRef(self.path, self.sha256, self.width, self.height, source="drawn", number=self.number)


@dataclass(frozen=True)
class TurnRecord:
    """One turn of the tree. state: "pending" | "done" | "cancelled" | "failed" | "interrupted"."""

    id: str
    session_id: str
    parent_id: str | None
    created: float
    state: str
    text: str
    images: tuple[ImageRef, ...]
    modality: Modality
    """What was asked for (auto / text / image)."""
    seed: int
    two_step: bool
    overrides: PaintOverrides
    reply: Reply | None = None
    p_draw: float | None = None
    passes: tuple[MllmPass, ...] = ()
    timings: Timings = Timings()
    protocol: str = ""
    mllm: ModelRef | None = None
    t2i: ModelRef | None = None
    pictures: tuple[PictureRecord, ...] = ()
    verdict: str | None = None
    """ "liked" | "should_be_text" | "should_be_image" | None."""
    error: str | None = None


@dataclass(frozen=True)
class SearchHit:
    """A turn in which the words were found. kind: "text" (the artist's) | "prompt" (sent to the painter) | "answer"."""

    turn_id: str
    session_id: str
    kind: str
    excerpt: str
    """The place, with some words around it, on one line."""
