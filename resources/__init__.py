"""Files the project carries: prompts, icons, theme, translations, starter models. Knows only where they lie."""

import sys
from pathlib import Path


def resource(*parts: str) -> Path:
    """The path of a carried file or folder, in a source tree and in a packaged app alike."""
    root = Path(getattr(sys, "_MEIPASS", Path(__file__).parent.parent)) / "resources"
    return root.joinpath(*parts)
