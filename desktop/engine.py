"""The engine as the desktop uses it: store, registry and workers put together around `models.turn.run_turn`.

Used by the window (in a thread) and by the command line alike. Knows no Qt and no widget; loads no model itself, the
workers do.
"""

import logging
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desktop import places
from desktop.store.records import PictureRecord, SessionRecord, TurnRecord
from desktop.store.store import Store
from models.contracts import (
    BadInputError,
    BadModelError,
    DrawDone,
    KnownError,
    MllmInfo,
    Modality,
    ModelDescription,
    PaintOverrides,
    T2IInfo,
    TurnDone,
    TurnEvent,
    TurnRequest,
    TurnStage,
)
from models.mllm.base import Mllm
from models.protocols import get_protocol
from models.registry import Registry, known_folders
from models.seeds import check_seed, random_seed
from models.t2i.base import T2I
from models.turn import run_turn
from models.workers.supervisor import Supervisor

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Draft:
    """What the artist sends: words, pictures and settings, before it becomes a TurnRequest."""

    session_id: str
    text: str
    parent_id: str | None = None
    """The turn it continues (None: the first of its session)."""
    images: tuple[Path, ...] = ()
    modality: Modality = Modality.AUTO
    seed: int | None = None
    """None takes the session's locked seed, or rolls one when the session's seed is not locked."""
    two_step: bool = False
    overrides: PaintOverrides = PaintOverrides()


@dataclass(frozen=True)
class TurnBegan:
    """The turn is in the store as pending; nothing has run yet."""

    turn: TurnRecord
    event: str = "began"


@dataclass(frozen=True)
class PictureStored:
    """A slot's picture is in the library, verified and committed."""

    slot: int
    picture: PictureRecord
    event: str = "picture"


@dataclass(frozen=True)
class TurnFinished:
    """The turn's last state is committed: done, cancelled or failed (then `turn.error` is one sentence)."""

    turn: TurnRecord
    event: str = "finished"


EngineEvent = TurnBegan | TurnEvent | PictureStored | TurnFinished


@dataclass(frozen=True)
class Choice:
    """Which models sit in the two chairs, and how the painter runs. None means the default."""

    mllm: str | None = None
    t2i: str | None = None
    backend: str = "auto"
    device: str = "auto"


def open_registry(home: Path, more_folders: Sequence[Path] = ()) -> Registry:
    """The registry over the starter pair, the artist's own folders and those of other tools on this machine."""
    folders = [*places.model_folders(home), *known_folders(), *more_folders]
    return Registry(folders, settings=home / "models.json", cache=home / "cache")


class Engine:
    """Store + models. `turn` and `warm_up` are blocking; call them from a thread of your own. One turn at a time."""

    def __init__(self, store: Store, registry: Registry, supervisor: Supervisor, choice: Choice | None = None) -> None:
        self.store = store
        self.registry = registry
        self.supervisor = supervisor
        self.choice = choice or Choice()
        self._turn_lock = threading.Lock()
        self._status: dict[str, str] = {"mllm": "idle", "t2i": "idle"}
        self._scratch = Path(tempfile.mkdtemp(prefix="limner-"))

    @classmethod
    def open(
        cls,
        home: Path | None = None,
        library: Path | None = None,
        *,
        choice: Choice | None = None,
        model_folders: Sequence[Path] = (),
    ) -> "Engine":
        """Open the library (default: inside `home`) and find the models. Starts no process, loads nothing.

        Raises StoreError if the library is locked, damaged, full or of a newer Limner.
        """
        home = home or places.home()
        store = Store.open(library or places.library(home))
        registry = open_registry(home, model_folders)
        return cls(store, registry, Supervisor(logs=places.logs(home)), choice)

    # ------------------------------------------------------------ models
    def models(self) -> list[ModelDescription]:
        """Every model the registry finds, whole or with its problem."""
        return self.registry.scan()

    def describe(self, kind: str) -> ModelDescription:
        """The model that sits in a chair, with its hash (seconds for a large file seen for the first time).

        Raises BadModelError in one sentence if there is none or it is damaged.
        """
        name = self.choice.mllm if kind == "mllm" else self.choice.t2i
        found = self.registry.find(name, kind) if name else self.registry.default(kind)
        if found is None:
            wanted = f"the model “{name}”" if name else "any model"
            raise BadModelError(
                f"Limner cannot find {wanted} for the {_CHAIRS[kind]}; add one with “limner models add”."
            )
        if found.problem:
            raise BadModelError(found.problem)
        return self.registry.identify(found)

    def mllm(self) -> Mllm:
        """The director, loaded if it is not yet."""
        return self._chair("mllm", lambda: self.supervisor.load_mllm(self.describe("mllm")))

    def t2i(self) -> T2I:
        """The painter, loaded if it is not yet."""
        return self._chair(
            "t2i",
            lambda: self.supervisor.load_t2i(
                self.describe("t2i"), backend=self.choice.backend, device=self.choice.device
            ),
        )

    def _chair(self, kind: str, load: Callable[[], Any]) -> Any:
        if self._status[kind] != "ready":
            self._status[kind] = "loading"
        try:
            model = load()
        except BaseException:
            self._status[kind] = "failed"
            raise
        self._status[kind] = "ready"
        return model

    def warm_up(self, stage: Callable[[str], None] = lambda _: None) -> tuple[MllmInfo, T2IInfo]:
        """Load both models, telling `stage` "loading_mllm", "loading_t2i", "ready". Raises KnownError."""
        stage("loading_mllm")
        mllm = self.mllm().info
        stage("loading_t2i")
        t2i = self.t2i().info
        stage("ready")
        return mllm, t2i

    def status(self) -> dict[str, str]:
        """Per chair: "idle" | "loading" | "ready" | "failed"."""
        return dict(self._status)

    # ------------------------------------------------------------ turns
    def turn(self, draft: Draft, cancelled: Callable[[], bool] = lambda: False) -> Iterator[EngineEvent]:
        """Run one turn: TurnBegan first, TurnFinished last. Known errors end it as a failed turn; bugs are raised
        after the turn is marked failed. Raises KnownError itself only if the turn could not even be written down.
        """
        with self._turn_lock:
            request = self._request(draft)
            record = self.store.begin_turn(draft.session_id, draft.parent_id, request)
            try:
                yield TurnBegan(record)
                yield from self._run(record.id, request, cancelled)
            except KnownError as error:
                log.info("turn %s failed: %s", record.id, error)
                yield TurnFinished(self.store.fail_turn(record.id, str(error)))
            except GeneratorExit:
                with suppress(Exception):
                    self.store.fail_turn(record.id, "This turn was stopped before it was finished.")
                raise
            except Exception as error:
                with suppress(Exception):
                    self.store.fail_turn(record.id, f"Limner made a mistake: {type(error).__name__}.")
                raise

    def _run(self, turn_id: str, request: TurnRequest, cancelled: Callable[[], bool]) -> Iterator[EngineEvent]:
        yield TurnStage("loading_mllm")
        mllm = self.mllm()
        events = run_turn(
            request,
            mllm=mllm,
            t2i=self.t2i,
            protocol=get_protocol(mllm.info.protocol),
            folder=self._scratch,
            cancelled=cancelled,
        )
        for event in events:
            yield event
            if isinstance(event, DrawDone):
                picture = self.store.add_picture(turn_id, event.slot, event.painted, event.steps, event.tokens)
                Path(event.painted.path).unlink(missing_ok=True)
                yield PictureStored(event.slot, picture)
            elif isinstance(event, TurnDone):
                yield TurnFinished(self.store.finish_turn(turn_id, event, error=event.error or None))

    def _request(self, draft: Draft) -> TurnRequest:
        if not draft.text.strip() and not draft.images:
            raise BadInputError("There is nothing to answer yet; say something or attach a picture.")
        session = self.store.session(draft.session_id)
        return TurnRequest(
            turn_id=uuid.uuid4().hex,
            text=draft.text,
            images=tuple(self.store.import_picture(p, draft.session_id) for p in draft.images),
            history=self.store.past(draft.parent_id) if draft.parent_id else (),
            modality=draft.modality,
            seed=self._seed(draft, session),
            mllm_seed=session.seed,
            two_step=draft.two_step,
            overrides=draft.overrides,
        )

    def _seed(self, draft: Draft, session: SessionRecord) -> int:
        if draft.seed is not None:
            return check_seed(draft.seed)
        return session.seed if session.seed_locked else random_seed()

    # ------------------------------------------------------------ end
    def close(self) -> None:
        """End the workers and close the library. Safe to call twice."""
        self.supervisor.close()
        self.store.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_CHAIRS = {"mllm": "director", "t2i": "painter"}
