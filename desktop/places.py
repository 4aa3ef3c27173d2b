"""Where Limner keeps things on this machine. Knows paths alone; makes no file."""

import os
from pathlib import Path

import platformdirs

from resources import resource


def home() -> Path:
    """The folder of settings, library and logs. LIMNER_HOME overrides the system's usual place."""
    chosen = os.environ.get("LIMNER_HOME")
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("limner", appauthor=False))


def library(home: Path) -> Path:
    """The default library of sessions and pictures."""
    return home / "library"


def logs(home: Path) -> Path:
    """Logs of this process and of the workers."""
    return home / "logs"


def model_folders(home: Path) -> list[Path]:
    """Folders searched for models: the starter pair, then the user's own."""
    return [resource("models"), home / "models"]
