"""`limner models list|verify|add|export`. Knows the registry and the painter's worker; prints for people or as JSON."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from desktop import places
from desktop.engine import open_registry
from models.contracts import BadModelError, ModelDescription, to_json
from models.registry import Registry
from models.workers.supervisor import Supervisor


def registry() -> Registry:
    """The registry over this machine's usual model folders and those the artist added."""
    return open_registry(places.home())


def list_models(args: argparse.Namespace) -> int:
    """Every model found, whole or with its problem."""
    found = registry().scan()
    if args.json:
        print(json.dumps([to_json(m) for m in found], ensure_ascii=False))
        return 0
    for model in found:
        print("\n".join(_words(model)))
    return 0


def _words(model: ModelDescription) -> list[str]:
    onnx = ", ONNX" if model.onnx else ""
    lines = [f"{model.kind:4}  {model.name}  ({model.family or model.format}{onnx}, {model.bytes / 1e6:.0f} MB)"]
    lines.append(f"      {model.path}")
    return lines + ([f"      ! {model.problem}"] if model.problem else [])


def verify(args: argparse.Namespace) -> int:
    """Check hashes and parts; exit code 3 if anything is wrong."""
    book = registry()
    wanted = [_find(book, args.name)] if args.name else book.scan()
    found = {m.name: book.verify(m) for m in wanted}
    if args.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        for name, problems in found.items():
            print(f"{name}: " + ("; ".join(problems) if problems else "whole"))
    return 3 if any(found.values()) else 0


def add(args: argparse.Namespace) -> int:
    """Remember a model file or folder where it lies."""
    added = registry().add(Path(args.path).expanduser())
    rows: list[Any] = [to_json(m) for m in (added if isinstance(added, list) else [added])]
    print(json.dumps(rows, ensure_ascii=False) if args.json else "\n".join(f"added {r['name']}" for r in rows))
    return 0


def export(args: argparse.Namespace) -> int:
    """Export a painter to ONNX beside the artist's own models; the next start uses it."""
    model = _find(registry(), args.name)
    if model.kind != "t2i":
        raise BadModelError(f"“{model.name}” is a director; only painters are exported to ONNX.")
    target = places.home() / "onnx" / model.name
    with Supervisor(logs=places.logs(places.home())) as supervisor:
        folder = supervisor.export_onnx(model, target, progress=lambda text: print(text, file=sys.stderr, flush=True))
    print(json.dumps({"name": model.name, "onnx": str(folder)}) if args.json else f"exported to {folder}")
    return 0


def _find(book: Registry, name: str) -> ModelDescription:
    for kind in ("t2i", "mllm"):
        found = book.find(name, kind)
        if found:
            return found
    raise BadModelError(f"There is no model “{name}”; “limner models list” shows what is installed.")
