"""Statistics of rows: false alarms on unchanged rows, what they find and how long they take, beside gradient boosting's AUC.

Prints three tables. `--quick` takes about two minutes, all of it about ten. One thread, as in the child process that judges.
"""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _results import markdown, write
from scipy.signal import lfilter
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from monitor.stats._layout import lay_out
from monitor.stats.domain_classifier import domain_classifier
from monitor.stats.mmd import mmd
from monitor.stats.pca_reconstruction import pca_reconstruction

STATISTICS = {"domain_classifier": domain_classifier, "pca_reconstruction": pca_reconstruction, "mmd": mmd}
LEVELS = (0.05, 0.01, 1e-3)
LEVEL = 1e-3
FOLDS = 4
Rows = Any


def series(rows: int, columns: int, rho: float, rng: np.random.Generator) -> Rows:
    noise = rng.standard_normal((rows + 100, columns)) * np.sqrt(1 - rho**2)
    return lfilter([1], [1, -rho], noise, axis=0)[100:]


def false_alarms(repeats: int) -> list[list[str]]:
    """Share of p-values at or below a level where nothing has changed; the window follows on its reference after a pause."""
    table = []
    for rho in (0.0, 0.7):
        for rows in (100, 400):
            for name, compute in STATISTICS.items():
                rng = np.random.default_rng([rows, int(10 * rho)])
                found = []
                for _ in range(repeats):
                    made = series(1250 + rows, 4, rho, rng)
                    found.append(compute(made[:1200], made[1250:], rng).p_value)
                shares = [f"{np.mean(np.array(found) <= level):.4f}" for level in LEVELS]
                table.append([name, f"{rho:g}", str(rows), *shares, f"{min(found):.1g}"])
    return table


def usual(rows: int, rng: np.random.Generator) -> Rows:
    """Twenty columns; the first two go together (0.8), and so do the next two (0.5)."""
    made = rng.standard_normal((rows, 20))
    made[:, 1] = 0.8 * made[:, 0] + 0.6 * made[:, 1]
    made[:, 3] = 0.5 * made[:, 2] + np.sqrt(0.75) * made[:, 3]
    return made


def changed(change: Callable[[Rows, np.random.Generator], None]) -> Callable[[int, np.random.Generator], Rows]:
    def make(rows: int, rng: np.random.Generator) -> Rows:
        made = usual(rows, rng)
        change(made, rng)
        return made

    return make


def replaced(share: float, column: int, value: float) -> Callable[[Rows, np.random.Generator], None]:
    return lambda made, rng: made[:, column].__setitem__(rng.random(len(made)) < share, value)


CHANGES = {
    "none": usual,
    "shift of 0.3 in one of 20": changed(lambda made, _: made[:, 5].__iadd__(0.3)),
    "spread × 1.3 in one of 20": changed(lambda made, _: made[:, 5].__imul__(1.3)),
    "correlation 0.8 → −0.8": changed(lambda made, _: made[:, 1].__imul__(-1)),
    "correlation 0.5 → −0.5": changed(lambda made, _: made[:, 3].__imul__(-1)),
    "one value in 10 % of rows": changed(replaced(0.1, 6, 1.5)),
    "10 % missing in one of 20": changed(replaced(0.1, 6, np.nan)),
}


def boosted(before: Rows, after: Rows) -> float:
    """AUC of gradient boosting on the same rows, with the same folds."""
    layout = lay_out(len(before), len(after), alike=True)
    sides = before[layout.reference], after[layout.current]
    folds = [np.arange(len(side)) * FOLDS // len(side) for side in sides]
    scores = []
    for fold in range(FOLDS):
        learned = [side[own != fold] for side, own in zip(sides, folds, strict=True)]
        told = [side[own == fold] for side, own in zip(sides, folds, strict=True)]
        labels, expected = (np.repeat([0, 1], [len(side) for side in pair]) for pair in (learned, told))
        weights = np.where(labels == 1, 1 / labels.sum(), 1 / (1 - labels).sum()) * len(labels) / 2
        learner = HistGradientBoostingClassifier(max_iter=60, learning_rate=0.1, min_samples_leaf=40, random_state=0)
        learner.fit(np.vstack(learned), labels, sample_weight=weights)
        scores.append(roc_auc_score(expected, learner.decision_function(np.vstack(told))))
    return float(np.mean(scores))


def power(repeats: int) -> list[list[str]]:
    table = []
    for name, make in CHANGES.items():
        rng = np.random.default_rng(1)
        found: dict[str, list[float]] = {"classifier": [], "found": [], "pca": [], "boosting": []}
        for _ in range(repeats):
            before, after = usual(10_000, rng), make(2000, rng)
            told, rebuilt = domain_classifier(before, after, rng), pca_reconstruction(before, after, rng)
            found["classifier"].append(told.value)
            found["found"].append(told.p_value <= LEVEL)
            found["pca"].append(rebuilt.p_value <= LEVEL)
            found["boosting"].append(boosted(before, after))
        mean = {key: float(np.mean(values)) for key, values in found.items()}
        table.append(
            [name, f"{mean['classifier']:.3f}", f"{mean['boosting']:.3f}", f"{mean['found']:.0%}", f"{mean['pca']:.0%}"]
        )
    return table


def speed() -> list[list[str]]:
    rng, table = np.random.default_rng(2), []
    for columns in (20, 64, 768):
        before, after = rng.standard_normal((10_000, columns)), rng.standard_normal((10_000, columns))
        for name, compute in STATISTICS.items():
            if name != "pca_reconstruction" or columns < 768:
                start = time.perf_counter()
                compute(before, after, rng)
                table.append([name, str(columns), f"{time.perf_counter() - start:.2f}"])
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats, and nothing is written")
    quick = parser.parse_args().quick
    parts = {
        "Unchanged rows": (
            ["statistic", "ρ", "rows", *(f"p ≤ {level:g}" for level in LEVELS), "least p"],
            false_alarms(40 if quick else 400),
        ),
        f"What is found at p ≤ {LEVEL:g}, of 10,000 and 2,000 rows": (
            ["change", "AUC", "AUC of boosting", "found by the classifier", "found by PCA"],
            power(2 if quick else 10),
        ),
        "Seconds for 10,000 and 10,000 rows": (["statistic", "columns", "seconds"], speed()),
    }
    body = "\n\n".join(f"## {title}\n\n{markdown(header, rows)}" for title, (header, rows) in parts.items())
    print(body)
    if not quick:
        data = {title: [dict(zip(header, row, strict=True)) for row in rows] for title, (header, rows) in parts.items()}
        write("multivariate", "Many columns at once", body, data)


if __name__ == "__main__":
    main()
