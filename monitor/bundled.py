"""Where the files that travel with the code lie: in the wheel's package data, or at the top of a checkout."""

from __future__ import annotations

from pathlib import Path


def folder(name: str) -> Path:
    """The folder `alerts`, `dashboards` or `examples`.

    Raises:
        FileNotFoundError: this installation does not carry it.
    """
    here = Path(__file__).resolve().parent
    for place in (here / "_bundled" / name, here.parent / name):
        if place.is_dir():
            return place
    raise FileNotFoundError(f"this installation carries no folder {name!r}")
