"""Memory that is free in this process goes back to the machine: there is an application beside us."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache

_ARENA_MAX = -8  # M_ARENA_MAX of malloc.h


@cache
def _trim() -> Callable[[int], int] | None:
    """The C library's malloc_trim, None where it has none (it is glibc's)."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return None


def prepare() -> None:
    """Call before the first thread and before NumPy: fewer heaps, and no threads for matrices that are never there."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 2)


def settle() -> None:
    """Call once when everything is built: what lives as long as the process is never looked through again."""
    gc.collect()
    gc.freeze()
    give_back()


def give_back() -> None:
    """Call now and then: glibc keeps what was freed unless it is asked."""
    trim = _trim()
    if trim is not None:
        trim(0)
