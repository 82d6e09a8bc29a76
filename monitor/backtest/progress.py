"""How far a backtest has come, for whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Progress:
    """One report: rows read so far (`total` is unknown), or windows judged of so many, and alerts so far."""

    stage: Literal["reading", "judging"]
    about: str
    done: int
    total: int = 0
    alerts: int = 0


Tell = Callable[[Progress], None]


def nobody(_: Progress) -> None:
    """Nobody watches."""
