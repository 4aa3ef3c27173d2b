"""Runs a measurement of `models.evaluation.measure` in a process of its own and reads its JSON.

The desktop never loads a model itself, also not to measure one.
"""

import json
import subprocess
import sys
from typing import Any

from models.contracts import KnownError


def run(part: str, *arguments: str) -> Any:
    """The JSON a part prints as its last line. Raises KnownError with the part's own sentence if it fails."""
    entry = (
        [sys.executable, "--measure"]
        if getattr(sys, "frozen", False)
        else [sys.executable, "-m", "desktop", "--measure"]
    )
    done = subprocess.run([*entry, part, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise KnownError(f"Measuring “{part}” failed: {last}")
    return json.loads(done.stdout.strip().splitlines()[-1])
