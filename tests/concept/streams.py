"""Streams of losses whose mean does not change, and what two detectors have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.signal import lfilter

Draw = Callable[[np.random.Generator, int], Any]


def autoregressive(rho: float, innovations: Draw) -> Draw:
    """AR(1) with variance 1, after it has forgotten where it began."""
    return lambda rng, rows: lfilter([np.sqrt(1 - rho**2)], [1, -rho], innovations(rng, rows + 300))[300:]


def normal(rng: np.random.Generator, rows: int) -> Any:
    return rng.normal(size=rows)


def centered_exponential(rng: np.random.Generator, rows: int) -> Any:
    return rng.exponential(size=rows) - 1


STREAMS: dict[str, Draw] = {
    "one in twenty wrong": lambda rng, rows: (rng.random(rows) < 0.05).astype(float),
    "every second wrong": lambda rng, rows: (rng.random(rows) < 0.5).astype(float),
    "normal": normal,
    "exponential": lambda rng, rows: rng.exponential(size=rows),
    "lognormal": lambda rng, rows: np.exp(rng.normal(size=rows)),
    "AR(1) of 0.7": autoregressive(0.7, normal),
    "AR(1) of 0.9, skewed": autoregressive(0.9, centered_exponential),
    "exp of AR(1) of 0.7": lambda rng, rows: np.exp(autoregressive(0.7, normal)(rng, rows)),
}


def fed(detector: Any, pieces: Sequence[Any], state: Any = None) -> tuple[Any, list[Any]]:
    """Feed the pieces one by one, each time from what JSON kept of the state."""
    changes: list[Any] = []
    for piece in pieces:
        state, found = detector.feed(json.loads(json.dumps(state)), np.asarray(piece, dtype=np.float64))
        changes += found
    return state, changes
