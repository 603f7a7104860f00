"""Giving memory back after a model: a training leaves cycles of objects, and the C library keeps what is freed."""

import ctypes
import gc


def give_back_memory() -> None:
    """Return to the system what is no longer used.

    A training of 135 M weights left 3.8 GB behind, 3.3 after a collection alone, 0.4 after this.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)
