"""Between rows and records: what each column holds. Runs no transactions and touches no files."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

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
    TurnDone,
    TurnRequest,
    from_json,
    to_json,
)

from .records import PictureRecord, TurnRecord
from .tree import Tree


@dataclass(frozen=True)
class Arrival:
    """A picture on its way into the library: all that its row will hold but the number."""

    turn_id: str
    slot: int
    sha256: str
    width: int
    height: int
    created: float
    seconds: float
    spec: GenerationSpec
    steps: tuple[AdapterStep, ...]
    tokens: PromptTokens


def dumps(value: Any) -> str:
    """A JSON column."""
    return plain(json.dumps(to_json(value), ensure_ascii=False, separators=(",", ":")))


def plain(text: str) -> str:
    """Text that UTF-8 can hold: halves of surrogate pairs, as a paste or a command line may bring, become U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


# ---------------------------------------------------------------- turns
def insert_turn(
    connection: sqlite3.Connection, session_id: str, parent_id: str | None, request: TurnRequest, tree: Tree, now: float
) -> int:
    """Add a pending turn; its place in the order of arrival."""
    columns = {
        "id": request.turn_id, "session_id": session_id, "parent_id": parent_id, "created": now, "state": "pending",
        "text": plain(request.text), "images": dumps([tree.pack(image) for image in request.images]),
        "modality": str(request.modality), "seed": request.seed, "mllm_seed": request.mllm_seed,
        "two_step": request.two_step, "overrides": dumps(request.overrides),
    }  # fmt: skip
    seq = _insert(connection, "turns", columns)
    insert_uses(connection, request.turn_id, request.images)
    return seq


def insert_uses(connection: sqlite3.Connection, turn_id: str, refs: Iterable[ImageRef | None]) -> None:
    """Remember which files a turn stands on."""
    connection.executemany(
        "INSERT OR IGNORE INTO uses(turn_id, sha256) VALUES (?, ?)", [(turn_id, ref.sha256) for ref in refs if ref]
    )


def finish_turn(
    connection: sqlite3.Connection, turn_id: str, done: TurnDone, error: str | None, now: float
) -> sqlite3.Cursor:
    """Fill in a pending turn; rowcount 0 if it was not pending."""
    columns = {
        "state": "failed" if error is not None else done.finish, "finished": now, "error": error and plain(error),
        "raw_output": plain(done.reply.raw), "say": plain(done.reply.say), "answered": str(done.reply.modality),
        "reply": dumps(done.reply), "p_draw": done.p_draw, "passes": dumps(done.passes), "timings": dumps(done.timings),
        "protocol": done.protocol, **_model("mllm", done.mllm), **_model("t2i", done.t2i),
    }  # fmt: skip
    return update_pending(connection, turn_id, columns)


def update_pending(connection: sqlite3.Connection, turn_id: str, columns: dict[str, Any]) -> sqlite3.Cursor:
    """Change columns of a turn that is still pending; rowcount 0 if it is not."""
    changes = ", ".join(f"{name} = :{name}" for name in columns)
    return connection.execute(
        f"UPDATE turns SET {changes} WHERE id = :turn_id AND state = 'pending'", {**columns, "turn_id": turn_id}
    )


def turn_record(row: sqlite3.Row, pictures: Iterable[PictureRecord], tree: Tree) -> TurnRecord:
    """From a row of turns and the records of its pictures."""
    names = ("id", "session_id", "parent_id", "created", "state", "text", "seed", "p_draw", "protocol")
    return TurnRecord(
        **{name: row[name] for name in names},
        images=tuple(tree.unpack(image) for image in _read(tuple[ImageRef, ...], row["images"])),
        modality=Modality(row["modality"]),
        two_step=bool(row["two_step"]),
        overrides=_read(PaintOverrides, row["overrides"]),
        reply=_read(Reply, row["reply"]) if row["reply"] else None,
        passes=_read(tuple[MllmPass, ...], row["passes"]),
        timings=_read(Timings, row["timings"]),
        mllm=_model_of(row["mllm_name"], row["mllm_sha256"]),
        t2i=_model_of(row["t2i_name"], row["t2i_sha256"]),
        pictures=tuple(pictures),
        verdict=row["verdict"],
        error=row["error"],
    )


# ---------------------------------------------------------------- pictures
def insert_arrival(connection: sqlite3.Connection, arrival: Arrival, tree: Tree) -> None:
    """Announce a picture before its file is moved. A second try for the same slot takes the place of the first."""
    packed = to_json(arrival) | {"spec": to_json(tree.pack_spec(arrival.spec))}
    connection.execute(
        "INSERT OR REPLACE INTO arrivals(turn_id, slot, sha256, record) VALUES (?, ?, ?, ?)",
        (arrival.turn_id, arrival.slot, arrival.sha256, dumps(packed)),
    )


def arrivals(connection: sqlite3.Connection, tree: Tree) -> list[Arrival]:
    """Pictures that were announced and have no row."""
    found = [_read(Arrival, row["record"]) for row in connection.execute("SELECT record FROM arrivals ORDER BY rowid")]
    return [_unpacked(arrival, tree) for arrival in found]


def _unpacked(arrival: Arrival, tree: Tree) -> Arrival:
    return Arrival(**(vars(arrival) | {"spec": tree.unpack_spec(arrival.spec)}))


def insert_picture(connection: sqlite3.Connection, arrival: Arrival, tree: Tree) -> None:
    """The row of a picture whose file is in place. It gets the session's next number; its announcement goes."""
    spec = arrival.spec
    session_id = connection.execute("SELECT session_id FROM turns WHERE id = ?", (arrival.turn_id,)).fetchone()[0]
    highest = connection.execute("SELECT MAX(number) FROM pictures WHERE session_id = ?", (session_id,)).fetchone()[0]
    columns = {
        "sha256": arrival.sha256, "turn_id": arrival.turn_id, "session_id": session_id, "slot": arrival.slot,
        "number": (highest or 0) + 1, "width": arrival.width, "height": arrival.height, "created": arrival.created,
        "seconds": arrival.seconds, "prompt": plain(spec.prompt), "seed": spec.seed, **_model("model", spec.model),
        "spec": dumps(tree.pack_spec(spec)), "steps": dumps(arrival.steps), "tokens": dumps(arrival.tokens),
    }  # fmt: skip
    _insert(connection, "pictures", columns)
    insert_uses(connection, arrival.turn_id, (spec.init_image, spec.mask_image))
    connection.execute("DELETE FROM arrivals WHERE turn_id = ? AND slot = ?", (arrival.turn_id, arrival.slot))


def picture_record(row: sqlite3.Row, tree: Tree) -> PictureRecord:
    """From a row of pictures."""
    names = ("sha256", "turn_id", "session_id", "slot", "number", "width", "height", "created", "seconds")
    return PictureRecord(
        **{name: row[name] for name in names},
        path=str(tree.picture(row["sha256"])),
        spec=tree.unpack_spec(_read(GenerationSpec, row["spec"])),
        steps=_read(tuple[AdapterStep, ...], row["steps"]),
        tokens=_read(PromptTokens, row["tokens"]),
        starred=bool(row["starred"]),
        missing=bool(row["missing"]),
    )


# ---------------------------------------------------------------- parts
def _insert(connection: sqlite3.Connection, table: str, columns: dict[str, Any]) -> int:
    places = ", ".join(f":{name}" for name in columns)
    statement = f"INSERT INTO {table}({', '.join(columns)}) VALUES ({places})"
    return int(connection.execute(statement, columns).lastrowid or 0)


def _read(kind: Any, column: str) -> Any:
    return from_json(kind, json.loads(column))


def _model(prefix: str, ref: ModelRef | None) -> dict[str, str | None]:
    name, sha256 = (ref.name, ref.sha256) if ref else (None, None)
    return {f"{prefix}_name": name, f"{prefix}_sha256": sha256}


def _model_of(name: str | None, sha256: str | None) -> ModelRef | None:
    return None if name is None else ModelRef(name, sha256 or "")
