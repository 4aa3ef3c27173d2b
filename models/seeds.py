"""Painting seeds: their range, rolling a new one, and the seeds of several pictures in one turn. Knows no noise."""

import secrets

from models.contracts import SEED_MAX, BadInputError


def check_seed(seed: object) -> int:
    """The seed itself, 0..SEED_MAX. Raises BadInputError for anything else."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= SEED_MAX:
        shown = str(seed)[:24] if not isinstance(seed, int) else _short(seed)
        raise BadInputError(f"The seed {shown} cannot be used: choose a whole number from 0 to {SEED_MAX}.")
    return seed


def random_seed() -> int:
    """A new seed, uniform over 0..SEED_MAX, from the system's own randomness."""
    return secrets.randbelow(SEED_MAX + 1)


def slot_seed(seed: int, slot: int) -> int:
    """The seed of a turn's picture number `slot` (from 0): seed, seed + 1, …, and 0 again after SEED_MAX.

    Two pictures of one turn with one seed would share their noise, and variations of one prompt would be one picture.
    """
    return (check_seed(seed) + slot) % (SEED_MAX + 1)


def _short(seed: int) -> str:
    """Digits of a seed; only the size of one too long to print."""
    return str(seed) if seed.bit_length() <= 80 else f"of {seed.bit_length()} bits"
