"""What is ok, what is a breach and what nobody can tell: the same for every check."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from monitor import registry
from monitor.check._verdict import measured, verdict_of, whole
from monitor.records import Finding, NoData, Verdict
from monitor.stats import NumericOutcomes
from tests.check.judging import WINDOW

OK, BREACHED, NO_DATA, ERROR = Verdict.OK, Verdict.BREACHED, Verdict.NO_DATA, Verdict.ERROR


def said(verdict: Verdict, reason: str = "", *, superseded: bool = False) -> Finding:
    return Finding("shop", "drift", "psi", verdict, reason or verdict.value, WINDOW, superseded=superseded)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([OK, OK], OK),
        ([OK, BREACHED], BREACHED),
        ([BREACHED, ERROR, NO_DATA, OK], BREACHED),
        ([OK, ERROR], ERROR),
        ([NO_DATA, ERROR], ERROR),
        ([NO_DATA, OK], OK),
        ([NO_DATA, NO_DATA], NO_DATA),
        ([], NO_DATA),
    ],
)
def test_one_breach_makes_a_check_breached_and_nothing_known_never_makes_it_ok(
    verdicts: list[Verdict], expected: Verdict
) -> None:
    assert whole([said(verdict) for verdict in verdicts])[0] is expected
    assert whole([said(verdict) for verdict in reversed(verdicts)])[0] is expected


def test_the_reason_of_the_whole_is_that_of_the_first_finding_that_decided() -> None:
    assert whole([said(OK), said(BREACHED, "first"), said(BREACHED, "second")]) == (BREACHED, "first")
    assert whole([said(NO_DATA, "too few rows")]) == (NO_DATA, "too few rows")
    assert whole([]) == (NO_DATA, "nothing_to_judge")


@pytest.mark.parametrize("verdict", [BREACHED, ERROR, OK])
def test_what_is_superseded_no_longer_counts(verdict: Verdict) -> None:
    assert whole([said(verdict, superseded=True)])[0] is NO_DATA
    assert whole([said(verdict, superseded=True), said(OK)])[0] is OK


@pytest.mark.parametrize(
    ("statistic", "value", "threshold", "expected"),
    [
        ("psi", 0.2, 0.2, (OK, "within_threshold")),
        ("psi", 0.2000001, 0.2, (BREACHED, "beyond_threshold")),
        ("accuracy", 0.9, 0.9, (OK, "within_threshold")),
        ("accuracy", 0.8999999, 0.9, (BREACHED, "beyond_threshold")),
        ("mae", 1e9, None, (OK, "no_threshold")),
        ("missing_ratio", 0.0, 0.0, (OK, "within_threshold")),
    ],
)
def test_a_value_is_a_breach_only_beyond_its_threshold_and_on_the_side_that_is_worse(
    statistic: str, value: float, threshold: float | None, expected: tuple[Verdict, str]
) -> None:
    found = registry.load("statistic", statistic).STATISTIC
    assert verdict_of(found, value, threshold) == expected


@pytest.mark.parametrize(("one", "other", "said"), [(1e200, 1e200, "inf"), (np.inf, 0.0, "nan")])
def test_a_value_that_is_not_finite_is_no_data_and_nothing_is_warned_of(one: float, other: float, said: str) -> None:
    found = replace(registry.load("statistic", "psi").STATISTIC, compute=lambda a, b: (a * b).sum())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(NoData) as caught:
            measured(found, np.array([one]), np.array([other]))
    assert str(caught.value) == f"expected a finite value, got {said}"


def test_a_value_that_is_finite_is_the_statistics() -> None:
    found = registry.load("statistic", "rmse").STATISTIC
    outcomes = NumericOutcomes(np.array([3.0, 0.0]), np.array([0.0, 0.0]))
    assert measured(found, outcomes) == found.compute(outcomes)
