"""`limner doctor`: what is installed, devices, memory and model folders, in words. Loads no model."""

import json
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from desktop import measure, places
from desktop.engine import open_registry
from models.contracts import KnownError, ModelDescription

PACKAGES = (
    "PySide6-Essentials",
    "llama-cpp-python",
    "torch",
    "diffusers",
    "transformers",
    "optimum-onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "pillow",
)


def report(as_json: bool) -> int:
    """Print the examination; exit code 0 if a turn could run here, 1 if something it needs is missing or damaged."""
    facts = examine()
    print(json.dumps(facts, ensure_ascii=False, indent=None) if as_json else "\n".join(_words(facts)))
    return 0 if not facts["problems"] else 1


def examine() -> dict[str, Any]:
    """Everything as one JSON-able object; `problems` are sentences that say what to do."""
    home = places.home()
    models = open_registry(home).scan()
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "memory_gb": {"total": _gb(psutil.virtual_memory().total), "free": _gb(psutil.virtual_memory().available)},
        "home": str(home),
        "disk_free_gb": _gb(shutil.disk_usage(_existing(home)).free),
        "model_folders": [str(f) for f in places.model_folders(home)],
        "models": [{"name": m.name, "kind": m.kind, "path": m.path, "problem": m.problem} for m in models],
    }
    facts["devices"], facts["problems"] = _devices()
    facts["problems"] += _problems(facts, models)
    return facts


def _devices() -> tuple[dict[str, Any], list[str]]:
    try:
        return measure.run("devices"), []
    except KnownError as error:
        return {}, [str(error)]


def _problems(facts: dict[str, Any], models: list[ModelDescription]) -> list[str]:
    problems = [m.problem for m in models if m.problem]
    for kind, chair in (("mllm", "director"), ("t2i", "painter")):
        if not any(m.kind == kind and not m.problem for m in models):
            problems.append(f"There is no usable {chair}; add one with “limner models add PATH”.")
    if facts["disk_free_gb"] < 1:
        problems.append(f"Less than 1 GB is free for {facts['home']}; free some space or pictures cannot be kept.")
    return problems


def _words(facts: dict[str, Any]) -> list[str]:
    lines = [f"Python {facts['python']} on {facts['system']}"]
    lines += [f"  {name} {found or 'is not installed'}" for name, found in facts["packages"].items()]
    memory = facts["memory_gb"]
    lines.append(f"Memory: {memory['free']} of {memory['total']} GB free")
    lines += [f"Device: {line}" for line in facts["devices"].get("words", [])]
    lines.append(f"Sessions and settings: {facts['home']} ({facts['disk_free_gb']} GB free)")
    lines += [f"Model folder: {folder}" for folder in facts["model_folders"]]
    lines += [f"  {m['kind']:4} {m['name']}" + (f"  ({m['problem']})" if m["problem"] else "") for m in facts["models"]]
    lines += [f"Needs attention: {p}" for p in facts["problems"]] or ["Everything a turn needs is here."]
    return lines


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return "inside the package" if getattr(sys, "frozen", False) else None


def _gb(count: float) -> float:
    return round(count / 1e9, 1)


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)
