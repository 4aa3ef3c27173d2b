"""Keeps libraries from asking a network, drawing progress bars and warning about matters of their own.

Imports the libraries only when told to be quiet. Knows nothing of models.
"""

import contextlib
import os
import warnings
from collections.abc import Iterator


def offline() -> None:
    """Set before the libraries are imported: no hub, no telemetry."""
    for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "TRANSFORMERS_OFFLINE"):
        os.environ[name] = "1"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Inside, library warnings are not shown; progress bars and logs below errors are off for good."""
    import diffusers
    import transformers

    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
