"""Every visible word passes through `tr`. Knows the language files; knows no widget.

The source language is English; `resources/translations/limner_zh.ts` holds the Chinese, compiled to `.qm` by
`python -m desktop.ui.translations`.
"""

from PySide6.QtCore import QCoreApplication, QEvent, QLibraryInfo, QLocale, QTranslator

from resources import resource

CONTEXT = "Limner"


def tr(text: str) -> str:
    """The text in the language shown. Call it with a literal, so that it can be found for translation."""
    return QCoreApplication.translate(CONTEXT, text)


class Language:
    """Installs the translators of a language; Qt then tells every widget (LanguageChange)."""

    _installed: list[QTranslator] = []
    """Of the application, of which there is one."""
    spoken = "en"

    def __init__(self, app: QCoreApplication) -> None:
        self._app = app

    def speak(self, language: str) -> None:
        """ "en" or "zh"."""
        Language.spoken = language
        for old in self._installed:
            self._app.removeTranslator(old)
        self._installed.clear()
        if language == "zh":
            QLocale.setDefault(QLocale(QLocale.Language.Chinese, QLocale.Country.China))
            self._install("qtbase_zh_CN", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath))
            self._install("limner_zh", str(resource("translations")))
        else:
            QLocale.setDefault(QLocale(QLocale.Language.English))

    def _install(self, name: str, folder: str) -> None:
        translator = QTranslator(self._app)
        if translator.load(name, folder):
            self._app.installTranslator(translator)
            self._installed.append(translator)


class Spoken:
    """Mixed into a widget with words: `retranslate` sets all of them and runs again when the language changes."""

    def retranslate(self) -> None:
        """Set every visible word, tooltip and accessible name."""

    def changeEvent(self, event: QEvent) -> None:
        """Qt tells of a new language here."""
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)  # type: ignore[misc]
