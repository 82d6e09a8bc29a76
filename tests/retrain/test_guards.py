"""Every guard refuses by itself, at its boundary and with its name; none is ever off by being left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import RootModel

from monitor import registry
from monitor.config import PluginSpec
from monitor.records import Verdict
from monitor.retrain import GuardContext, first_refusal, guards_of
from tests.retrain.history import DAY, DEFAULTS, NOW, context, result, retraining

MISSING = "the check quality is breached: missing_ratio of temp is 0.9, expected at most 0.05"
COPIED = "the check quality is breached: duplicate_ratio is 0.9, expected at most 0.05"
GONE = "the check skew is breached: schema of temp is 0.9, expected at most 0.05"
BREACHED, OK, NO_DATA, ERROR = Verdict.BREACHED, Verdict.OK, Verdict.NO_DATA, Verdict.ERROR

CASES = [
    # guard, its value, what it sees, why it refuses (None: it agrees)
    ("cooldown", 3600.0, context(), None),
    ("cooldown", 3600.0, context(retraining(NOW - 3600)), None),
    ("cooldown", 3600.0, context(retraining(NOW - 3540)), "the last retraining was asked for 59m ago, expected at least 1h"),
    ("cooldown", 3600.0, context(retraining(NOW - 10), retraining(NOW - 9000)), "the last retraining was asked for 10s ago, expected at least 1h"),
    ("cooldown", 3600.0, context(retraining(NOW - 10, "failed")), "the last retraining was asked for 10s ago, expected at least 1h"),
    ("cooldown", 3600.0, context(retraining(NOW - 3599.9)), "the last retraining was asked for 60m ago, expected at least 1h"),
    ("cooldown", 0.0, context(retraining(NOW)), None),
    ("min_labels", 500, context(labels=500), None),
    ("min_labels", 500, context(labels=499), "expected at least 500 fresh labels, got 499"),
    ("min_labels", 0, context(labels=0), None),
    ("per_day", 2, context(retraining(NOW - 100), retraining(NOW - DAY)), None),
    ("per_day", 2, context(retraining(NOW - 100), retraining(NOW - DAY + 1)), "expected fewer than 2 retrainings in 24 hours, got 2"),
    ("per_day", 1, context(retraining(NOW - 100)), "expected fewer than 1 retrainings in 24 hours, got 1"),
    ("per_day", 3, context(retraining(NOW - 100), retraining(NOW - 200)), None),
    ("single_flight", True, context(retraining(state="requested")), "retraining k1 is under way"),
    ("single_flight", True, context(retraining(state="accepted")), "retraining k1 is under way"),
    ("single_flight", True, context(retraining(), retraining(state="accepted", key="k0")), "retraining k0 is under way"),
    ("single_flight", True, context(retraining(state="recovered"), retraining(state="not_recovered")), None),
    ("single_flight", True, context(retraining(state="failed"), retraining(state="timed_out")), None),
    ("single_flight", False, context(retraining(state="requested")), None),
    ("no_history", True, context(store_created=NOW - DAY), None),
    ("no_history", True, context(store_created=NOW - DAY + 3600), "the store is 23h old, younger than the cooldown of 1d: a retraining may just have run"),
    ("no_history", True, context(store_created=NOW - 60, options={"cooldown": 60.0}), None),
    ("no_history", True, context(store_created=NOW, ephemeral=True), None),
    ("no_history", False, context(store_created=NOW), None),
    ("data_quality", True, context(), None),
    ("data_quality", True, context(results=result("quality", ("missing_ratio", "temp", BREACHED))), MISSING),
    ("data_quality", False, context(results=result("quality", ("missing_ratio", "temp", BREACHED))), None),
    ("data_quality", True, context(results=result("quality", ("schema", "hum", OK), ("missing_ratio", "temp", BREACHED))), MISSING),
    ("data_quality", True, context(results=result("quality", ("duplicate_ratio", None, BREACHED))), COPIED),
    ("data_quality", True, context(results=result("quality", ("missing_ratio", "temp", NO_DATA), ("schema", "temp", ERROR))), None),
    ("data_quality", True, context(results=result("quality", ("missing_ratio", "temp", BREACHED), version="2")), None),
    ("data_quality", True, context(results=result("quality", ("missing_ratio", "temp", BREACHED), version="2"), version=None), MISSING),
    ("data_quality", True, context(results=result("quality", ("missing_ratio", "temp", BREACHED), version=None)), MISSING),
    ("data_quality", True, context(results=result("quality", ("missing_ratio", "temp", BREACHED), superseded=True)), None),
    ("data_quality", True, context(results=result("skew", ("schema", "temp", BREACHED))), GONE),
    ("data_quality", True, context(results=result("skew", ("distribution", "temp", BREACHED))), None),
    ("data_quality", True, context(results=result("drift", ("psi", "temp", BREACHED))), None),
    ("data_quality", True, context(results=result("volume", ("volume", None, BREACHED))), None),
]  # fmt: skip


@pytest.mark.parametrize(("guard", "value", "seen", "reason"), CASES)
def test_a_guard_decides_by_itself(guard: str, value: Any, seen: GuardContext, reason: str | None) -> None:
    assert registry.load("guard", guard).refuse(value, seen) == reason


def test_every_guard_there_is_refuses_in_one_case_and_agrees_in_another() -> None:
    for guard in registry.known("guard"):
        assert {reason is None for name, _, _, reason in CASES if name == guard} == {True, False}, guard


def test_guards_that_are_left_out_have_their_defaults() -> None:
    assert guards_of({}) == {
        "cooldown": DAY,
        "data_quality": True,
        "min_labels": 500,
        "no_history": True,
        "per_day": 2,
        "single_flight": True,
    }


def test_a_guard_that_is_given_has_that_value_and_the_others_their_defaults() -> None:
    options: Any = RootModel[float](60.0)
    assert guards_of({"cooldown": PluginSpec("cooldown", options)}) == {**DEFAULTS, "cooldown": 60.0}


@pytest.mark.parametrize("guard", registry.known("guard"))
def test_a_default_is_a_value_that_the_guards_own_options_hold(guard: str) -> None:
    module = registry.load("guard", guard)
    assert module.Options.model_construct(module.DEFAULT).root == module.DEFAULT
    assert registry.load("guard", guard).refuse(module.DEFAULT, context()) is None


@pytest.mark.parametrize(
    ("seen", "guard"),
    [
        (context(), None),
        (context(labels=0), "min_labels"),
        (context(results=result("quality", ("schema", "temp", BREACHED))), "data_quality"),
        (context(store_created=NOW), "no_history"),
        (context(retraining(NOW - 60)), "cooldown"),
        (context(retraining(NOW - 2 * DAY, "requested")), "single_flight"),
        (context(retraining(NOW - 7000), retraining(NOW - 8000), options={"cooldown": 3600.0}), "per_day"),
    ],
)
def test_the_guard_that_refuses_has_its_name_told(seen: GuardContext, guard: str | None) -> None:
    refusal = first_refusal(seen)
    assert (refusal.guard if refusal else None) == guard
    if refusal:
        assert refusal.reason == registry.load("guard", refusal.guard).refuse(seen.options[refusal.guard], seen)


def test_where_several_refuse_the_first_in_the_order_of_the_options_is_told() -> None:
    refusal = first_refusal(context(retraining(NOW, "requested"), labels=0, store_created=NOW))
    assert refusal is not None
    assert refusal.guard == next(iter(DEFAULTS)) == "cooldown"


def never(at_most: int) -> int:
    raise AssertionError(f"counted up to {at_most} labels, which takes long, for nothing")


def test_labels_are_counted_last_and_only_where_every_other_guard_agrees() -> None:
    """Counting them may take long, wherever the guard stands among the others."""
    assert list(DEFAULTS).index("min_labels") < list(DEFAULTS).index("single_flight")
    waiting = replace(context(retraining(NOW - 2 * DAY, "requested")), labels=never)
    refusal = first_refusal(waiting)
    assert refusal is not None
    assert refusal.guard == "single_flight"
    with pytest.raises(AssertionError, match="counted up to 500 labels"):
        first_refusal(replace(context(), labels=never))


def test_where_no_labels_are_asked_for_none_are_counted() -> None:
    assert first_refusal(replace(context(options={"min_labels": 0}), labels=never)) is None


def test_labels_are_counted_no_further_than_they_are_asked_for() -> None:
    asked: list[int] = []

    def count(at_most: int) -> int:
        asked.append(at_most)
        return at_most

    assert first_refusal(replace(context(options={"min_labels": 7}), labels=count)) is None
    assert asked == [7]
