"""How much a metric varies between windows of so many labelled rows when the model is as good as it was on its reference.

A metric is near its value v plus the mean of its influence function over the rows (Hampel, JASA 69, 1974): so the tail of its
loss is that of a mean of draws from the reference's own influences, whatever their law. That tail is had by the saddlepoint
approximation on their empirical cumulant function (Daniels, Ann. Math. Statist. 25, 1954; Lugannani & Rice 1980; Davison &
Hinkley, Biometrika 75, 1988), which sees skewed and heavy-tailed losses as the normal law does not. Rows that follow each
other are alike, and windows differ: there are that many fewer independent ones, as the reference's own batches tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.calibrate.restlessness import FEWEST, LEAST_FREEDOM, SHORT, settled
from monitor.calibrate.special import normal_tail
from monitor.calibrate.tails import crossing
from monitor.records import FloatArray, IntArray

KEPT = 128  # so many of the largest influences on either side are kept one by one
UNSEEN_FAILURES = 3.0  # a proportion of up to 3/n goes unseen in n rows once in twenty times
POINTS = 1024  # what lies between them is kept as so many means


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a reference says of one metric.

    Attributes:
        value: on the reference.
        rows: labelled rows it was computed on.
        influences: of these rows, standing for `weights` rows each, shape (m,), rising, with a weighted mean of 0.
        weights: shape (m,).
        inflation: how much more than a mean of independent rows the mean of a window varies, at least 1.
        freedom: degrees of freedom the inflation rests on.
        batch_rows: rows of the batches it was read from, if these are whole windows; inf where shorter ones told as much.
        how: `by_stretches`, or why it says little: `short_reference`, `undated_reference`.
    """

    value: float
    rows: int
    influences: FloatArray
    weights: FloatArray
    inflation: float
    freedom: float
    batch_rows: float
    how: str

    def p_value(self, loss: float, rows: float) -> float:
        """How often a window of so many rows would be worse by as much or more; for no loss, a half or more."""
        return float(np.exp(self._log_tail(np.array([loss]), rows)[0]))

    def critical(self, level: float, rows: float) -> float:
        """The loss that a window of so many rows exceeds with a chance of `level`, below 0.3; 0 where nothing varies."""
        spread = self.spread(rows)
        if spread == 0:
            return 0.0
        found = crossing(lambda x: self._log_tail(x, rows) - np.log(level), np.array([0.3 * spread]))
        return float(found[0])

    def inflation_of(self, rows: float) -> float:
        """How much more the mean of a window of so many rows varies than that of independent ones."""
        return 1 + (self.inflation - 1) * max(1.0, rows / self.batch_rows)

    def spread(self, rows: float) -> float:
        """The standard error of the difference between a window of so many rows and the reference."""
        variance = float(self.weights @ self.influences**2) / self.rows
        return float(np.sqrt(variance / self._independent(rows)))

    def _independent(self, rows: float) -> float:
        """So many independent rows would tell as much: of the window, and of the reference that is itself a draw."""
        growth = max(1.0, rows / self.batch_rows)
        # Two standard errors of the estimate on the safe side: no distribution is at hand that would average over it.
        margin = 1 + 2 * np.sqrt(2 / self.freedom) if self.inflation > 1 else 1.0
        inflated = (1 + (self.inflation * margin - 1) * growth) / rows + self.inflation * margin / self.rows
        return float(1 / inflated)

    def _log_tail(self, loss: FloatArray, rows: float) -> FloatArray:
        return log_tail_of_mean(self.influences, self.weights / self.rows, loss, self._independent(rows))


def log_tail_of_mean(points: FloatArray, weights: FloatArray, mean: FloatArray, rows: float) -> FloatArray:
    """Log of P(the mean of `rows` draws > mean), by the saddlepoint approximation.

    Args:
        points: what is drawn from, with mean 0, shape (m,).
        weights: their chances, shape (m,).
        mean: shape (n,).
        rows: how many are drawn; need not be whole.
    """
    scale = float(np.sqrt(weights @ points**2))
    if scale == 0:
        return np.where(mean > 0, -690.0, 0.0)
    x, points = np.asarray(mean) / scale, points / scale
    # Beyond the largest point there is nothing; a little before it, the tilt runs away.
    inside = np.clip(x, points.min() * (1 - 1e-9), points.max() * (1 - 1e-9))
    # In rows of unit variance, tilts of many standard deviations are never needed.
    low = np.full_like(inside, -1e6)
    high = np.full_like(inside, 1e6)
    tilt = inside.copy()
    top = total = second = np.ones_like(inside)
    for _ in range(100):
        shifted = tilt[:, None] * points
        top = shifted.max(axis=1)
        tilted = weights * np.exp(shifted - top[:, None])
        total = tilted.sum(axis=1)
        first = tilted @ points / total
        second = np.maximum(tilted @ points**2 / total - first**2, 1e-300)
        slope = first - inside
        low, high = np.where(slope < 0, tilt, low), np.where(slope < 0, high, tilt)
        moved = tilt - slope / second
        moved = np.where((moved > low) & (moved < high), moved, (low + high) / 2)
        settled_down = np.abs(slope) <= 1e-10 * (1 + np.abs(inside))
        tilt = np.where(settled_down, tilt, moved)
        if settled_down.all():
            break
    cumulant = top + np.log(total)
    w = np.sign(tilt) * np.sqrt(np.maximum(2 * rows * (tilt * inside - cumulant), 0.0))
    u = tilt * np.sqrt(rows * second)
    middling = (np.abs(w) < 1e-4) | (np.abs(u) < 1e-4)
    w, u = np.where(middling, 1.0, w), np.where(middling, 1.0, u)
    tail = np.where(middling, 0.5, np.clip(normal_tail(w + np.log(np.abs(u / w)) / w), 1e-300, 1.0))
    return np.asarray(np.log(tail), dtype=np.float64)


def baseline_of(
    value: float,
    influences: FloatArray,
    stretches: IntArray,
    *,
    parts: int,
    dated: bool = True,
    failure: float | None = None,
) -> Baseline:
    """Read off a reference how a metric varies.

    Args:
        value: of the metric on the reference.
        influences: of its rows, in the direction that is worse, shape (n,).
        stretches: the stretch of time that each row is in, from 0, shape (n,).
        parts: stretches in a window.
        dated: whether rows have times; otherwise their order had to do.
        failure: of a proportion, the influence of a row that fails. A reference with few or no failures does not say that there
            are none: it is taken to have had some more, as in the rule of three (Hanley and Lippman-Hand, JAMA 249, 1983).
    """
    influences = influences - influences.mean()
    points, weights = _compressed(influences)
    if failure is not None:
        points, weights = np.append(points, failure), np.append(weights, UNSEEN_FAILURES)
        weights = weights * (len(influences) / weights.sum())
        points = points - float(weights @ points) / len(influences)
    levels = _levels(influences, stretches, parts)
    told = [level for level in levels if level[1] >= FEWEST] or levels[:1]
    inflation, batches, rows, size = told[settled([(level[0], level[1] - 1.0) for level in told])]
    windows = (int(stretches.max(initial=0)) + 1) / parts
    how = "undated_reference" if not dated else "short_reference" if windows < SHORT else "by_stretches"
    return Baseline(
        value, len(influences), points, weights, max(inflation, 1.0), max(batches - 1.0, LEAST_FREEDOM),
        rows if size == parts else np.inf, how,
    )  # fmt: skip


def _levels(influences: FloatArray, stretches: IntArray, parts: int) -> list[tuple[float, float, float, int]]:
    """By size of batch: inflation, batches, rows of a batch, size."""
    variance = float(influences @ influences) / len(influences)
    found = []
    for size in (size for size in range(1, parts + 1) if parts % size == 0):
        place = stretches // size
        sums, rows = np.bincount(place, weights=influences), np.bincount(place)
        held = rows > 0
        number = int(held.sum())
        squares = float(sums[held] @ sums[held]) / len(influences)
        # Each batch is a part of the mean that it is compared with.
        inflation = squares / variance / max(1 - 1 / number, 0.1) if variance > 0 else 1.0
        found.append((inflation, float(number), float(rows[held].mean()), size))
    return found


def _compressed(influences: FloatArray) -> tuple[FloatArray, FloatArray]:
    ordered = np.sort(influences)
    if len(ordered) <= 2 * KEPT + POINTS:
        return ordered, np.ones(len(ordered))
    body = ordered[KEPT:-KEPT]
    edges = np.linspace(0, len(body), POINTS + 1).astype(np.int64)
    weights = np.diff(edges).astype(np.float64)
    means = np.add.reduceat(body, edges[:-1]) / weights
    points = np.concatenate([ordered[:KEPT], means, ordered[-KEPT:]])
    whole = np.concatenate([np.ones(KEPT), weights, np.ones(KEPT)])
    # Means vary less than what they stand for.
    scale = np.sqrt(float(ordered @ ordered) / max(float(whole @ points**2), 1e-300))
    return points * scale, whole
