"""What every statistic is held against: a second opinion that shares no code with it, and inputs that get worse."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, mean_absolute_error, root_mean_squared_error

Inputs = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class Oracle:
    """A second opinion.

    Attributes:
        value: the same number, computed by somebody else or by hand.
        worse: inputs, each scoring worse than the one before.
        ordered: whether the order of the bins means something to a statistic of drift.
    """

    value: Callable[..., float]
    worse: tuple[Inputs, ...]
    ordered: bool = False


def given(*arrays: Any, **counts: int) -> Inputs:
    return tuple(np.array(array, dtype=object if isinstance(array[0], str) else None) for array in arrays), counts


def plain_psi(reference: Any, current: Any) -> float:
    """The formula as it stands in textbooks, in plain Python, with the floor of 1e-4 that the design fixes."""
    shares = ([max(count / sum(rows), 1e-4) for count in rows] for rows in (reference.tolist(), current.tolist()))
    return sum((q - p) * (math.log(q) - math.log(p)) for p, q in zip(*shares, strict=True))


def share(part: str) -> Callable[..., float]:
    return lambda **counts: counts[part] / counts["rows"]


CLEAN = {"rows": 100, "missing": 0, "absent": 0, "unseen": 0}
ORACLES = {
    "psi": Oracle(
        plain_psi,
        (given([50, 50], [50, 50]), given([50, 50], [75, 25]), given([50, 50], [99, 1]), given([50, 50], [100, 0])),
    ),
    "mae": Oracle(mean_absolute_error, (given([1.0, 2.0], [1.0, 2.0]), given([1.0, 2.0], [2.0, 4.0]))),
    "rmse": Oracle(root_mean_squared_error, (given([0.0, 0.0], [3.0, 3.0]), given([0.0, 0.0], [3.0, 4.0]))),
    "accuracy": Oracle(accuracy_score, (given(["a", "b"], ["a", "b"]), given(["a", "b"], ["a", "a"]))),
    "missing_ratio": Oracle(share("missing"), (given(**CLEAN), given(**CLEAN | {"missing": 5}))),
    "unseen_ratio": Oracle(share("unseen"), (given(**CLEAN), given(**CLEAN | {"unseen": 1}))),
    "schema": Oracle(
        lambda **counts: 1.0 if counts["absent"] == counts["rows"] else 0.0,
        (given(**CLEAN | {"missing": 99, "absent": 99}), given(**CLEAN | {"missing": 100, "absent": 100})),
    ),
}

BY_HAND = [
    # (0.75 - 0.5) ln 1.5 + (0.25 - 0.5) ln 0.5
    ("psi", given([50, 50], [75, 25]), 0.25 * math.log(1.5) + 0.25 * math.log(2)),
    # An empty bin has the share 1e-4: (1e-4 - 0.5) ln(1e-4 / 0.5) + (1 - 0.5) ln 2
    ("psi", given([50, 50], [0, 100]), (1e-4 - 0.5) * math.log(2e-4) + 0.5 * math.log(2)),
    ("psi", given([0, 10, 90], [0, 10, 90]), 0.0),
    ("psi", given([0, 100], [100, 0]), 2 * (1 - 1e-4) * math.log(1e4)),
    ("mae", given([1.0, 2.0, 3.0], [1.0, 4.0, 0.0]), 5 / 3),
    ("rmse", given([1.0, 2.0, 3.0], [1.0, 4.0, 0.0]), math.sqrt(13 / 3)),
    ("accuracy", given(["up", "down", "up"], ["up", "up", "up"]), 2 / 3),
    ("missing_ratio", given(rows=200, missing=180, absent=0, unseen=0), 0.9),
    ("missing_ratio", given(rows=3, missing=3, absent=3, unseen=0), 1.0),
    ("unseen_ratio", given(rows=200, missing=100, absent=0, unseen=3), 0.015),
    ("schema", given(rows=7, missing=7, absent=6, unseen=0), 0.0),
    ("schema", given(rows=7, missing=7, absent=7, unseen=0), 1.0),
]
