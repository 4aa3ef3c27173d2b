"""Repairs of the libraries underneath, each with the version it was seen in. Knows nothing of Limner."""

import sys

PLENTY = 1 << 40


def keep_singletons_alive() -> None:
    """PySide6 6.12 counts on `None` and `True` being immortal, which they are only from Python 3.12 on.

    Every call of a Qt function that returns nothing gives back `None` without taking a reference, and every
    `signal.emit()` gives back `True` likewise. Under Python 3.11 some ten thousand calls end the process with
    "deallocating None". Here they are given references to lose. Call it once, as soon as the window is on screen.
    """
    if sys.version_info >= (3, 12) or sys.implementation.name != "cpython" or sys.getrefcount(None) > PLENTY:
        return
    import ctypes

    if ctypes.sizeof(ctypes.c_ssize_t) == 8:
        for singleton in (None, True, False, Ellipsis, NotImplemented):
            ctypes.c_ssize_t.from_address(id(singleton)).value += 2 * PLENTY
