"""What the eye and the screen reader get: contrast, words in both languages, names, nothing cut off."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QLineEdit, QWidget

from desktop.ui import icons, theme, translations
from desktop.ui.parts import Elided
from desktop.ui.seed_bar import SEED_MAX
from desktop.ui.words import Language, tr
from models import contracts
from models.contracts import WorkerDiedError
from models.t2i.fake import ScriptedT2I

FOX = "<draw>A red fox, the background is snow"
EATS = "A fox eats **mice** and berries."

TEXT_PAIRS = [
    ("text", "window"), ("text", "surface"), ("text", "hover"), ("text", "bubble"), ("muted", "window"),
    ("muted", "surface"), ("muted", "canvas"), ("on_accent", "accent"), ("on_accent", "accent_hover"),
    ("on_select", "select"), ("error", "window"), ("error", "error_ground"), ("struck", "window"),
    ("accent", "surface"), ("window", "text"), ("muted", "hover"),
]  # fmt: skip
SHAPE_PAIRS = [("edge", "window"), ("edge", "surface"), ("accent", "window"), ("accent", "canvas"), ("accent", "line")]


def _luminance(color: QColor) -> float:
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color.getRgbF()[:3]]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def _contrast(mode: str, front: str, back: str) -> float:
    lights = sorted(_luminance(QColor(theme.tokens()[mode][name])) for name in (front, back))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_contrast_is_aa(mode: str) -> None:
    low = {pair: _contrast(mode, *pair) for pair in TEXT_PAIRS if _contrast(mode, *pair) < 4.5}
    low |= {pair: _contrast(mode, *pair) for pair in SHAPE_PAIRS if _contrast(mode, *pair) < 3}
    assert low == {}


def test_both_modes_have_the_same_colours() -> None:
    assert theme.tokens()["light"].keys() == theme.tokens()["dark"].keys()


def test_dark_is_really_dark(qapp: QApplication) -> None:
    theme.apply(qapp, "dark")
    assert qapp.palette().color(QPalette.ColorRole.Window) == QColor(theme.tokens()["dark"]["window"])
    glyph = icons.glyph("plus", "text", 20)
    assert glyph.pixelColor(10, 10).lightness() > 128, "icons follow the theme"


def test_the_theme_follows_its_setting(open_window: Callable[..., Any]) -> None:
    limner = open_window()
    limner.panels.title_bar.theme_asked.emit("dark")
    assert theme.shown() == "dark" and limner.settings.theme == "dark"
    limner.panels.title_bar.theme_asked.emit("light")
    assert theme.shown() == "light"


def _icon_files() -> list[Path]:
    return sorted(icons.resource("icons").glob("*.svg"))


@pytest.mark.parametrize("file", _icon_files(), ids=lambda f: f.stem)
def test_icons_are_of_one_hand(qapp: QApplication, file: Path) -> None:
    root = ElementTree.parse(file).getroot()
    assert root.get("viewBox") == "0 0 20 20" and root.get("stroke-width") == "1.5"
    assert root.get("stroke") == "currentColor"
    image = icons.glyph(file.stem, "text", 40)
    drawn = sum(image.pixelColor(x, y).alpha() > 64 for x, y in itertools.product(range(40), range(40)))
    assert 60 < drawn < 800


def test_every_icon_is_used() -> None:
    source = "".join(f.read_text(encoding="utf-8") for f in Path(theme.__file__).parent.glob("*.py"))
    assert [f.stem for f in _icon_files() if f'"{f.stem}"' not in source] == []


def test_every_word_has_its_chinese(qapp: QApplication) -> None:
    words = translations.read("zh")
    assert [text for text in translations.literals() if not words.get(text)] == []
    assert sorted(words) == sorted(translations.literals()), "run python -m desktop.ui.translations"
    Language(qapp).speak("zh")
    assert [text for text, chinese in words.items() if QCoreApplication.translate("Limner", text) != chinese] == []


def test_placeholders_survive_translation() -> None:
    import string

    def names(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    assert [t for t, chinese in translations.read("zh").items() if names(t) != names(chinese)] == []


def test_a_missing_literal_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('tr("One")\nprint(tr("Two"))\n', encoding="utf-8")
    assert translations.literals(tmp_path) == ["One", "Two"]
    (tmp_path / "a.py").write_text("tr(text)\n", encoding="utf-8")
    with pytest.raises(ValueError, match="literal"):
        translations.literals(tmp_path)


def test_seed_limit_is_the_contract() -> None:
    assert SEED_MAX == contracts.SEED_MAX


def test_language_changes_while_the_window_is_open(open_window: Callable[..., Any], say: Any, until: Any) -> None:
    limner = open_window(FOX, language="en")
    say(limner, "a fox")
    limner.wiring.toggle_inspector()
    limner.panels.title_bar.language_asked.emit("zh")
    assert tr("Send") == "发送"
    words = translations.read("zh")

    def shown() -> set[str]:
        return {w.text() for kind in (QLabel, QAbstractButton) for w in _visible(limner.window, kind)}

    until(lambda: {"你说", "自动", "第 1 张", "种子已锁定"} <= shown())
    english = [t for t in shown() if words.get(t, t) != t]
    assert english == []


def _visible(root: QWidget, kind: type[Any]) -> Iterator[Any]:
    return (w for w in root.findChildren(kind) if w.isVisible())


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [900, 1280])
def test_nothing_is_cut_off(open_window: Callable[..., Any], say: Any, until: Any, language: str, width: int) -> None:
    limner = open_window(FOX, EATS, FOX, language=language, t2i=ScriptedT2I())
    limner.window.resize(width, 640)
    _check_room(limner.window, until)
    say(limner, "a fox")
    say(limner, "what does it eat?")
    limner.wiring.toggle_inspector()
    _check_room(limner.window, until)


def test_nothing_is_cut_off_at_200_percent() -> None:
    """The same, on a screen of twice the density."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "cut_off and 900"]
    environment = os.environ | {"QT_SCALE_FACTOR": "2", "QT_QPA_PLATFORM": "offscreen"}
    root = Path(__file__).parents[3]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout[-3000:]


def _check_room(window: QWidget, until: Any) -> None:
    cut: list[str] = []

    def settled() -> bool:
        cut[:] = [f"{type(w).__name__} {_text(w)!r}: {w.width()} < {_needed(w)}" for w in _worded(window) if _is_cut(w)]
        return not cut

    try:
        until(settled, 3)
    except AssertionError:
        pytest.fail("; ".join(cut))


def _worded(window: QWidget) -> list[QWidget]:
    found = [*_visible(window, QLabel), *_visible(window, QAbstractButton), *_visible(window, QLineEdit)]
    return [w for w in found if _text(w) and not isinstance(w, Elided)]


def _text(widget: Any) -> str:
    return str(widget.text())


def _needed(widget: Any) -> int:
    if isinstance(widget, QLabel) and widget.wordWrap():
        words = widget.text().split()
        return max(widget.fontMetrics().horizontalAdvance(word) for word in words) if words else 0
    return int(widget.fontMetrics().horizontalAdvance(_text(widget)))


def _is_cut(widget: Any) -> bool:
    high = widget.heightForWidth(widget.width()) if isinstance(widget, QLabel) and widget.wordWrap() else 0
    return bool(widget.width() < _needed(widget) or widget.height() < max(high, widget.fontMetrics().height()) - 1)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_control_has_a_name(open_window: Callable[..., Any], say: Any, language: str) -> None:
    limner = open_window(FOX, FOX, language=language, t2i=ScriptedT2I())
    say(limner, "a fox")
    limner.studio.engine.supervisor.models["t2i"].fault = WorkerDiedError("The painter stopped; try again.")
    say(limner, "again")
    limner.wiring.toggle_inspector()
    limner.wiring.show_keys()
    nameless = [
        f"{type(w).__name__} {w.objectName()} in {type(w.parentWidget()).__name__}"
        for w in limner.window.findChildren(QWidget)
        if w.isVisible() and w.focusPolicy() != Qt.FocusPolicy.NoFocus and not _name(w)
    ]
    assert nameless == []


def _name(widget: Any) -> str:
    own = widget.accessibleName() or (widget.text() if hasattr(widget, "text") else "")
    parent = widget.parentWidget()
    inside = parent.accessibleName() if type(parent).__name__ in ("QScrollArea", "Chat") else ""
    return str(own or inside)


def test_tab_reaches_everything_in_the_composer(open_window: Callable[..., Any]) -> None:
    from PySide6.QtTest import QTest

    limner = open_window()
    composer, seen = limner.panels.composer, []
    composer.edit.setPlainText("something to send")
    composer.edit.setFocus()
    for _ in range(12):
        seen.append(limner.app.focusWidget())
        QTest.keyClick(limner.app.focusWidget(), Qt.Key.Key_Tab)
    for control in (composer.edit, composer.attach, composer.send, limner.panels.seed.field, limner.panels.seed.dice):
        assert control in seen
