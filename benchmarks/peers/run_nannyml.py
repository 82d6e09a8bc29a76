"""NannyML's univariate drift calculators with their default thresholds: mean + 3 standard deviations of the reference's chunks.

The calculator's default method is Jensen-Shannon for every column; the others it has are run beside it. Its missing-value
calculator, a data-quality check and no drift score, is run as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"

import pandas as pd
from _job import Found, Job, main
from nannyml import MissingValuesCalculator, UnivariateDriftCalculator

NUMERIC = ("jensen_shannon", "kolmogorov_smirnov", "wasserstein", "hellinger")
CATEGORICAL = ("jensen_shannon", "chi2", "hellinger", "l_infinity")


def fitted(job: Job, numeric: tuple[str, ...], categorical: tuple[str, ...], rows: int) -> UnivariateDriftCalculator:
    calculator = UnivariateDriftCalculator(
        column_names=[*job.numeric, *job.categorical],
        treat_as_numerical=job.numeric,
        treat_as_categorical=job.categorical,
        continuous_methods=list(numeric),
        categorical_methods=list(categorical),
        chunk_size=rows,
    )
    return calculator.fit(job.reference)


def judge(job: Job, found: Found) -> None:
    """All windows as chunks of one analysis set."""
    calculator = fitted(job, NUMERIC, CATEGORICAL, job.rows)
    drifts = calculator.calculate(job.current).filter(period="analysis").to_df()
    columns = [(name, NUMERIC) for name in job.numeric] + [(name, CATEGORICAL) for name in job.categorical]
    for name, methods in columns:
        for method in methods:
            _add(found, method, name, drifts[name][method])
    counts = MissingValuesCalculator(column_names=[*job.numeric, *job.categorical], chunk_size=job.rows)
    missing = counts.fit(job.reference).calculate(job.current).filter(period="analysis").to_df()
    for name in [*job.numeric, *job.categorical]:
        _add(found, "missing_values", name, missing[name])


def _add(found: Found, method: str, column: str, results: pd.DataFrame) -> None:
    for value, alert in zip(results["value"], results["alert"], strict=True):
        found.add(method, column, value, drifted=alert)


def calculation(numeric: tuple[str, ...], categorical: tuple[str, ...], job: Job) -> Callable[[], Any]:
    """Fitting on the reference, as one chunk, prepares; calculating the current rows, as one chunk, is the work."""
    calculator = fitted(job, numeric, categorical, job.rows)
    return lambda: calculator.calculate(job.current)


MEASURES = {
    "Jensen-Shannon": partial(calculation, ("jensen_shannon",), ("jensen_shannon",)),
    "four methods": partial(calculation, NUMERIC, CATEGORICAL),
}

if __name__ == "__main__":
    sys.exit(main("nannyml", judge, MEASURES))
