"""What the artist chose about the window, kept in an ini file inside the home folder.

Knows names and defaults; knows neither widgets nor sessions. Imported before the window shows, so it stays small.
"""

import contextlib
from pathlib import Path

from PySide6.QtCore import QByteArray, QLocale, QObject, QSettings, Signal

THEMES = ("system", "light", "dark")
LANGUAGES = ("system", "en", "zh")
MODALITIES = ("auto", "text", "image")


class SettingsModel(QObject):
    """Settings with their defaults. `changed` carries the name of what changed."""

    changed = Signal(str)

    def __init__(self, home: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.home = home
        with contextlib.suppress(OSError):  # a read-only home: the window still works, it only forgets
            home.mkdir(parents=True, exist_ok=True)
        self._file = QSettings(str(home / "window.ini"), QSettings.Format.IniFormat)

    @property
    def theme(self) -> str:
        """ "system" | "light" | "dark"."""
        return self._choice("theme", THEMES)

    @theme.setter
    def theme(self, value: str) -> None:
        self._set("theme", value)

    @property
    def language(self) -> str:
        """ "system" | "en" | "zh"."""
        return self._choice("language", LANGUAGES)

    @language.setter
    def language(self, value: str) -> None:
        self._set("language", value)

    @property
    def spoken(self) -> str:
        """The language really shown: "en" or "zh"."""
        if self.language != "system":
            return self.language
        return "zh" if QLocale.system().language() == QLocale.Language.Chinese else "en"

    @property
    def modality(self) -> str:
        """What the next message asks for: "auto" | "text" | "image"."""
        return self._choice("modality", MODALITIES)

    @modality.setter
    def modality(self, value: str) -> None:
        self._set("modality", value)

    def flag(self, name: str, default: bool) -> bool:
        """A remembered yes or no, such as whether a panel is open."""
        return str(self._file.value(name, default)).lower() == "true"

    def set_flag(self, name: str, value: bool) -> None:
        """Remember a yes or no."""
        self._set(name, value)

    def layout(self, name: str) -> QByteArray:
        """A widget's saved geometry or splitter state; empty if there is none."""
        value = self._file.value("layout/" + name)
        return value if isinstance(value, QByteArray) else QByteArray()

    def set_layout(self, name: str, value: QByteArray) -> None:
        """Remember a widget's geometry or splitter state."""
        self._file.setValue("layout/" + name, value)

    def _choice(self, name: str, known: tuple[str, ...]) -> str:
        value = str(self._file.value(name, known[0]))
        return value if value in known else known[0]

    def _set(self, name: str, value: object) -> None:
        if self._file.value(name) != value:
            self._file.setValue(name, value)
            self.changed.emit(name)
