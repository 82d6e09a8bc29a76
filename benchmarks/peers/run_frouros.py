"""frouros' detectors, one column at a time: PSI, Kolmogorov-Smirnov, Wasserstein (its EMD); chi-square for categories.

A detector takes no missing values: they are dropped here. Only those with a p-value have a verdict of their own; the level
is 0.05, as in its documentation. It has no distance for categories, so for them PSI is that of the categories' codes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from _job import Found, Job, main
from frouros.detectors.data_drift import EMD, PSI, ChiSquareTest, KSTest

LEVEL = 0.05


def compare(detector: Any, reference: np.ndarray, current: np.ndarray) -> Any:
    detector.fit(X=reference)
    return detector.compare(X=current)[0]


def judge(job: Job, found: Found) -> None:
    for place in range(job.windows):
        window = job.window(place)
        for name in job.numeric:
            pair = _present(job.reference[name]), _present(window[name])
            for method, detector in (("psi", PSI()), ("wasserstein", EMD())):
                found.add(method, name, compare(detector, *pair).distance if len(pair[1]) else None, drifted=None)
            _test(found, "kolmogorov_smirnov", name, KSTest(), pair)
        for name in job.categorical:
            _test(found, "chi_square", name, ChiSquareTest(), (_present(job.reference[name]), _present(window[name])))


def _test(found: Found, method: str, name: str, detector: Any, pair: tuple[np.ndarray, np.ndarray]) -> None:
    p_value = compare(detector, *pair).p_value if len(pair[1]) else None
    found.add(method, name, p_value, drifted=None if p_value is None else p_value < LEVEL)


def _present(column: pd.Series) -> np.ndarray:
    return column.dropna().to_numpy()


def codes(job: Job, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The category's place among the reference's, as a number."""
    names = pd.Index(job.reference[name].dropna().unique())
    first, second = (names.get_indexer(frame[name].dropna()).astype(float) for frame in (job.reference, job.current))
    return first, second


def every_column(detector: Any, job: Job) -> Callable[[], Any]:
    """One statistic of all columns; turning them into arrays without missing values prepares."""
    pairs = [(_present(job.reference[name]), _present(job.current[name])) for name in job.numeric]
    pairs += [codes(job, name) for name in job.categorical]
    return lambda: [compare(detector(), *pair) for pair in pairs]


MEASURES = {
    "PSI": partial(every_column, PSI),
    "Kolmogorov-Smirnov": partial(every_column, KSTest),
    "Wasserstein": partial(every_column, EMD),
}

if __name__ == "__main__":
    sys.exit(main("frouros", judge, MEASURES))
