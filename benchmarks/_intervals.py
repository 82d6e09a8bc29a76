"""Intervals for what the benchmarks count."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri, ndtri

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rate:
    """Events per unit of exposure, and the ends of its interval."""

    events: int
    exposure: float
    rate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.rate:.3g} ({self.low:.2g} to {self.high:.2g})"


def poisson_interval(events: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Garwood's exact interval for a Poisson mean, after so many events (Biometrika 28, 1936).

    >>> [round(end, 2) for end in poisson_interval(0)], [round(end, 2) for end in poisson_interval(10)]
    ([0.0, 3.69], [4.8, 18.39])
    """
    tail = (1 - confidence) / 2
    low = 0.0 if events <= 0 else float(chdtri(2 * events, 1 - tail)) / 2
    return low, float(chdtri(2 * events + 2, tail)) / 2


def dispersion(events: np.ndarray) -> float:
    """How much more counts of equal exposure vary than Poisson's would, at least 1: variance by mean."""
    counts = np.asarray(events, dtype=np.float64)
    if len(counts) < 2 or counts.sum() == 0:
        return 1.0
    return max(1.0, float(counts.var(ddof=1) / counts.mean()))


def clustered_rate(events: np.ndarray, exposure: float, confidence: float = CONFIDENCE) -> Rate:
    """The rate of events that come in clusters: a bad draw of a reference repeats itself at every look.

    Garwood's interval for the number of events divided by the clusters' dispersion, times the dispersion: a quasi-Poisson
    interval. With independent events it is the exact one.

    Args:
        events: of each cluster, shape (clusters,).
        exposure: of each cluster.
        confidence: of the interval.

    >>> str(clustered_rate(np.array([0, 1, 0, 1]), 2.0))
    '0.25 (0.03 to 0.9)'
    """
    total, factor, whole = int(np.sum(events)), dispersion(events), exposure * len(events)
    low, high = (factor * end for end in poisson_interval(total / factor, confidence))
    return Rate(total, whole, total / whole, low / whole, high / whole)


def mean_interval(clusters: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """The mean of independent clusters, and a normal interval for it."""
    values = np.asarray(clusters, dtype=np.float64)
    mean = float(values.mean())
    if len(values) < 2:
        return mean, mean, mean
    half = float(ndtri((1 + confidence) / 2)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return mean, mean - half, mean + half
