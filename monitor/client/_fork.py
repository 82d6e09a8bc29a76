"""What a forked child has to forget: locks that somebody held, threads that are not there, records of its parent."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forgetful(Protocol):
    """Something that begins anew in a forked child."""

    def begin_anew(self) -> None: ...


_known: WeakSet[Forgetful] = WeakSet()


def remember(found: Forgetful) -> None:
    """Have this one begin anew in every forked child."""
    _known.add(found)


def _in_child() -> None:
    for each in list(_known):
        each.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
