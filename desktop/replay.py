"""Paint every picture of a session again from its spec and say how close it came. Changes nothing in the session."""

import json
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageStat

from desktop.engine import Choice, Engine
from desktop.store.records import PictureRecord
from models.contracts import KnownError, Painted

PERCEPTUAL_RMS = 2.0
"""Root mean square difference (of 255) up to which two pictures count as perceptually the same: about 42 dB PSNR."""

VERDICTS = ("same bytes", "perceptually same", "drifted", "missing", "not painted")
FAULTS = VERDICTS[2:]


def replay_folder(folder: Path, as_json: bool) -> int:
    """Replay a session folder; print a line a picture, or one JSON object. Exit code 0 if nothing drifted, else 1."""
    with Engine.open(library=folder) as engine:
        rows = [row for session in engine.store.sessions() for row in _replay(engine, session.id)]
    if as_json:
        print(json.dumps({"pictures": rows, "summary": _summary(rows)}, ensure_ascii=False))
    else:
        for row in rows:
            print(f"[{row['number']}] {row['verdict']}" + (f": {row['why']}" if row["why"] else ""))
        print(", ".join(f"{n} {verdict}" for verdict, n in _summary(rows).items()) or "no pictures")
    return 1 if any(r["verdict"] in FAULTS for r in rows) else 0


def _replay(engine: Engine, session_id: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="limner-replay-") as scratch:
        return [_row(engine, picture, Path(scratch)) for picture in engine.store.replay_specs(session_id)]


def _row(engine: Engine, picture: PictureRecord, scratch: Path) -> dict[str, Any]:
    row = {"number": picture.number, "sha256": picture.sha256, "seed": picture.spec.seed, "rms": None, "why": ""}
    try:
        painted = _paint(engine, picture, scratch)
        return {**row, **compare(Path(picture.path), Path(painted.path))}
    except KnownError as error:
        return {**row, "verdict": "not painted", "why": str(error)}


def _paint(engine: Engine, picture: PictureRecord, scratch: Path) -> Painted:
    spec = picture.spec
    engine.choice = Choice(
        t2i=spec.model.name if spec.model else None, backend=spec.backend, device=spec.device or "auto"
    )
    painter = engine.t2i()
    if spec.model and painter.info.model.sha256 != spec.model.sha256:
        raise KnownError(f"the model “{spec.model.name}” is not the one that painted it; its files have changed.")
    for event in painter.paint(spec, scratch):
        if isinstance(event, Painted):
            return event
    raise KnownError("the painter returned no picture; try again.")


def compare(before: Path, after: Path) -> dict[str, Any]:
    """ "same bytes" (every pixel), "perceptually same" or "drifted", with the RMS difference of 255.

    Bytes are those of the pixels: the PNG round them also carries the recipe. A file that is gone is "missing".
    """
    if not before.is_file():
        return {"verdict": "missing", "why": "its file is gone from the session folder; its spec was painted again"}
    with Image.open(before) as a, Image.open(after) as b:
        one, two = a.convert("RGB"), b.convert("RGB")
    if one.size != two.size:
        return {"verdict": "drifted", "why": f"{one.size} became {two.size}"}
    rms = max(ImageStat.Stat(ImageChops.difference(one, two)).rms)
    if rms == 0:
        return {"verdict": "same bytes", "rms": 0.0}
    verdict = "perceptually same" if rms <= PERCEPTUAL_RMS else "drifted"
    return {"verdict": verdict, "rms": round(rms, 3)}


def _summary(rows: list[dict[str, Any]]) -> dict[str, int]:
    verdicts = [r["verdict"] for r in rows]
    return {v: verdicts.count(v) for v in VERDICTS if v in verdicts}
