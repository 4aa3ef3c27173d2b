"""Names for diffusers' objects, which come without usable types: for the reader; to the type checker they are Any."""

from typing import Any

Vae = Any
Unet = Any
Scheduler = Any
Pipeline = Any
TextEncoder = Any
