"""Keeps `resources/translations` in step with the code: `python -m desktop.ui.translations`.

Collects every `tr("…")` of the desktop from the source, keeps the translations there are, drops what is gone, marks
what is missing, and compiles the .qm. For people who work on Limner; the window never imports it.
"""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import PySide6

from desktop.ui.words import CONTEXT
from resources import resource

SOURCE = Path(__file__).parent.parent
LANGUAGES = {"zh": "zh_CN"}


def literals(folder: Path = SOURCE) -> list[str]:
    """Every text given to `tr` in the Python files of a folder, each once, in order of appearance.

    Raises ValueError for a `tr` call whose argument is not a literal: it could never be translated.
    """
    found: dict[str, None] = {}
    for file in sorted(folder.rglob("*.py")):
        for call in _calls(ast.parse(file.read_text(encoding="utf-8"))):
            argument = call.args[0]
            if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                raise ValueError(f"{file}:{call.lineno}: tr() needs a literal")
            found[argument.value] = None
    return list(found)


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tr" and node.args:
            yield node


def ts_file(language: str) -> Path:
    """Where a language's translations are written by hand."""
    return resource("translations", f"limner_{language}.ts")


def read(language: str) -> dict[str, str]:
    """Source text → translation; "" where it is missing."""
    messages = ElementTree.parse(ts_file(language)).getroot().iter("message")
    return {m.findtext("source", ""): m.findtext("translation", "") for m in messages}


def write(language: str, words: dict[str, str]) -> None:
    """The .ts file in Qt's own layout, so that Linguist opens it."""
    root = ElementTree.Element("TS", version="2.1", language=LANGUAGES[language], sourcelanguage="en")
    context = ElementTree.SubElement(root, "context")
    ElementTree.SubElement(context, "name").text = CONTEXT
    for source, translation in words.items():
        message = ElementTree.SubElement(context, "message")
        ElementTree.SubElement(message, "source").text = source
        made = ElementTree.SubElement(message, "translation")
        made.text = translation
        if not translation:
            made.set("type", "unfinished")
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    ts_file(language).write_text(f'<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE TS>\n{text}\n', encoding="utf-8")


def update(language: str) -> list[str]:
    """Bring a language up to date and compile it. Returns what is not translated yet."""
    old = read(language) if ts_file(language).exists() else {}
    words = {text: old.get(text, "") for text in literals()}
    write(language, words)
    compile_qm(language)
    return [text for text, translation in words.items() if not translation]


def compile_qm(language: str) -> None:
    """.ts → .qm with Qt's lrelease, which comes with PySide6."""
    ours = Path(PySide6.__file__).parent / ("lrelease.exe" if sys.platform == "win32" else "lrelease")
    tool = str(ours) if ours.exists() else shutil.which("lrelease") or "lrelease"
    target = ts_file(language).with_suffix(".qm")
    subprocess.run([tool, "-silent", str(ts_file(language)), "-qm", str(target)], check=True)


if __name__ == "__main__":
    missing = {language: update(language) for language in LANGUAGES}
    for language, texts in missing.items():
        for text in texts:
            print(f"{language}: not translated: {text!r}")
    sys.exit(1 if any(missing.values()) else 0)
