"""Light and dark: colours and sizes from `resources/theme`, as a palette and one style sheet. Knows no widget."""

import json
from functools import cache
from string import Template

from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

from resources import resource

_shown = "light"

_ROLES = {
    QPalette.ColorRole.Window: "window",
    QPalette.ColorRole.WindowText: "text",
    QPalette.ColorRole.Base: "surface",
    QPalette.ColorRole.AlternateBase: "hover",
    QPalette.ColorRole.Text: "text",
    QPalette.ColorRole.PlaceholderText: "muted",
    QPalette.ColorRole.Button: "surface",
    QPalette.ColorRole.ButtonText: "text",
    QPalette.ColorRole.BrightText: "error",
    QPalette.ColorRole.Highlight: "select",
    QPalette.ColorRole.HighlightedText: "on_select",
    QPalette.ColorRole.Link: "accent",
    QPalette.ColorRole.LinkVisited: "accent",
    QPalette.ColorRole.ToolTipBase: "text",
    QPalette.ColorRole.ToolTipText: "window",
    QPalette.ColorRole.Mid: "line",
    QPalette.ColorRole.Accent: "accent",
}


@cache
def tokens() -> dict[str, dict[str, str]]:
    """The theme file: "size", "light" and "dark"."""
    loaded: dict[str, dict[str, str]] = json.loads(resource("theme", "tokens.json").read_text(encoding="utf-8"))
    return loaded


def color(name: str) -> QColor:
    """A colour of the theme shown now."""
    return QColor(tokens()[_shown][name])


def size(name: str) -> int:
    """A size in logical pixels."""
    return int(tokens()["size"][name])


def shown() -> str:
    """ "light" or "dark"."""
    return _shown


def wanted(setting: str) -> str:
    """What a setting ("system", "light", "dark") means on this machine now."""
    if setting != "system":
        return setting
    from PySide6.QtCore import Qt

    dark = QApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
    return "dark" if dark else "light"


def wanted_at_start(setting: str) -> str:
    """The same before any theme of ours is applied, read from the palette Qt begins with.

    `Qt` holds the enums of half the library; asking it would take a tenth of the time to a shown window.
    """
    if setting != "system":
        return setting
    return "dark" if QApplication.palette().color(QPalette.ColorRole.Window).lightness() < 128 else "light"


def apply_palette(app: QApplication, mode: str) -> None:
    """Show "light" or "dark" colours; enough for the bare window."""
    global _shown
    _shown = mode
    app.setPalette(_palette(mode))


def apply(app: QApplication, mode: str) -> None:
    """Show "light" or "dark": palette, style sheet, and icons, which ask for their colour when painted."""
    apply_palette(app, mode)
    font = app.font()
    if font.pixelSize() != size("body"):  # not in the style sheet: there it would be set for each widget again
        font.setPixelSize(size("body"))
        app.setFont(font)
    app.setStyleSheet(_style_sheet(mode))


def _palette(mode: str) -> QPalette:
    colors, palette = tokens()[mode], QPalette()
    for role, name in _ROLES.items():
        palette.setColor(role, QColor(colors[name]))
    for role in (QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText, QPalette.ColorRole.WindowText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(colors["edge"]))
    return palette


@cache
def _style_sheet(mode: str) -> str:
    template = Template(resource("theme", "window.qss").read_text(encoding="utf-8"))
    return template.substitute(tokens()[mode] | {k: str(v) for k, v in tokens()["size"].items()})
