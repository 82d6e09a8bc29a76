"""Unchanged data: streams whose rows are independent, or follow each other closely."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.signal import lfilter

from monitor.profile import Reference, build_reference
from monitor.records import Column, ColumnKind, EventBatch

HOUR = 3600.0


def stream(rng: np.random.Generator, rows: int, *, rho: float = 0.0) -> Any:
    """Standard normal values, each correlated with the one before by `rho`."""
    noise = rng.standard_normal(rows)
    noise[1:] *= np.sqrt(1 - rho**2)
    return lfilter([1.0], [1.0, -rho], noise)


def reference_of(
    values: Any, *, window_rows: int, window_seconds: float = HOUR, kind: ColumnKind = ColumnKind.NUMERIC, **more: Any
) -> Reference:
    """A reference of one column `x`, of which `window_rows` rows come in an hour."""
    times = np.arange(len(values)) * (HOUR / window_rows)
    batch, columns = EventBatch("1", times, {"x": values}), (Column("x", kind),)
    return build_reference(batch, columns, fingerprint="0" * 16, version=None, window_seconds=window_seconds, **more)
