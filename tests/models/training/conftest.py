"""Three emoji of each art set, kept beside the tests, so that scenes render without any download."""

from pathlib import Path

import pytest

from models.training.scenes import render, sprites

ART = Path(__file__).parent / "art"


@pytest.fixture(scope="session", autouse=True)
def small_art(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LIMNER_ART with the three emoji: "fox", "cat face", "red apple"."""
    folder = tmp_path_factory.mktemp("art")
    (folder / "node_modules").symlink_to(ART / "node_modules")
    patch = pytest.MonkeyPatch()
    patch.setenv("LIMNER_ART", str(folder))
    sprites.sprite.cache_clear()
    render._cut_out.cache_clear()
    return folder
