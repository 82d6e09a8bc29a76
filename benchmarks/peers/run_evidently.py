"""Evidently's DataDriftPreset with its defaults: the test of each column is the one it chooses by itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ["DO_NOT_TRACK"] = "1"

import pandas as pd
from _job import Found, Job, main
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

METHOD = "default"


def datasets(job: Job, current: pd.DataFrame, columns: list[str]) -> tuple[Dataset, Dataset]:
    """The current and the reference side, with the columns declared."""
    kinds = DataDefinition(
        numerical_columns=[name for name in job.numeric if name in columns],
        categorical_columns=[name for name in job.categorical if name in columns],
    )
    current, reference = current[columns], job.reference[columns]
    return Dataset.from_pandas(current, data_definition=kinds), Dataset.from_pandas(reference, data_definition=kinds)


def preset(job: Job, current: pd.DataFrame, columns: list[str]) -> dict[str, tuple[float, bool]]:
    """Score and verdict of each column."""
    report = Report([DataDriftPreset(columns=columns)], include_tests=True)
    found = report.run(*datasets(job, current, columns)).dict()
    verdicts = {test["metric_config"]["metric_id"]: test["status"] for test in found["tests"]}
    drifts = [metric for metric in found["metrics"] if "ValueDrift" in metric["config"]["type"]]
    return {
        metric["config"]["column"]: (float(metric["value"]), "FAIL" in str(verdicts[metric["id"]])) for metric in drifts
    }


def judge(job: Job, found: Found) -> None:
    """One report for each window. Where a column aborts it, one for each column: those that abort theirs have no verdict."""
    columns = [*job.numeric, *job.categorical]
    for place in range(job.windows):
        window = job.window(place)
        scores = attempted(job, window, columns)
        if not scores:
            scores = {name: score for each in columns for name, score in attempted(job, window, [each]).items()}
        for name in columns:
            value, drifted = scores.get(name, (None, None))
            found.add(METHOD, name, value, drifted=drifted)


def attempted(job: Job, window: pd.DataFrame, columns: list[str]) -> dict[str, tuple[float, bool]]:
    """Scores and verdicts; nothing where the report fails, which is its way with a column that is empty or missing."""
    try:
        return preset(job, window, columns)
    except Exception as error:  # noqa: BLE001 - whatever a column does to the report, the others are still judged
        print(f"evidently: {type(error).__name__}: {error}", file=sys.stderr)
        return {}


def preset_of(method: str | None, job: Job) -> Callable[[], Any]:
    """The preset on all columns, with one method for all of them or with its own choice."""
    sides = datasets(job, job.current, [*job.numeric, *job.categorical])
    return lambda: Report([DataDriftPreset(method=method)]).run(*sides).dict()


MEASURES = {"DataDriftPreset, PSI": partial(preset_of, "psi"), "DataDriftPreset, defaults": partial(preset_of, None)}

if __name__ == "__main__":
    sys.exit(main("evidently", judge, MEASURES))
