"""Fairness: each value held to scikit-learn by hand and to fairlearn; the intervals to simulation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as some
from sklearn.metrics import mean_absolute_error, precision_score, recall_score, zero_one_loss

from monitor import registry
from monitor.records import NoData, Statistic
from monitor.stats._gaps import Means, Shares
from monitor.stats._groups import (
    GroupCounts,
    group_binary,
    group_numeric,
    group_predictions,
    merge_groups,
)
from monitor.stats._homogeneity import chi_square_tail, same_mean, same_share
from monitor.stats._outcomes import BinaryOutcomes, NumericOutcomes
from monitor.stats._simultaneous import critical, difference_interval, mean_interval, ratio_interval

pytestmark = pytest.mark.slow

NAMES = (
    "demographic_parity_difference demographic_parity_ratio equal_opportunity_difference equalized_odds_difference"
    " predictive_parity_difference group_calibration_difference group_error_difference"
).split()
MODULES = {name: registry.load("statistic", name) for name in NAMES}
LETTERS = tuple("abcdefghij")
every = pytest.mark.parametrize("name", NAMES)

Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # label, predicted, score, group


@some.composite
def rows(draw: Any) -> Rows:
    number = draw(some.integers(1, 60))
    column = lambda values: np.array(draw(some.lists(values, min_size=number, max_size=number)))
    return (
        column(some.booleans()), column(some.booleans()), column(some.floats(0, 1)), column(some.integers(0, 3)),
    )  # fmt: skip


def counted(data: Rows) -> dict[str, GroupCounts]:
    label, predicted, score, group = data
    return group_binary(BinaryOutcomes(label, predicted, score), group, LETTERS[:4])


# --- values -----------------------------------------------------------------------------------------------------------


def overstated(label: np.ndarray, score: np.ndarray) -> float:
    return float(np.mean(score - label))


def selected(label: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.mean(predicted))


def false_positives(label: np.ndarray, predicted: np.ndarray) -> float:
    return float(recall_score(~label, predicted))


def by_hand(
    metric: Callable[..., float], data: Rows, keep: Callable[[Rows], np.ndarray], column: int = 1
) -> list[float]:
    """The metric of every group that has a row to keep."""
    groups = [tuple(part[data[3] == code] for part in data) for code in np.unique(data[3])]
    return [metric(group[0], group[column]) for group in groups if keep(group).any()]


def everything(data: Rows) -> np.ndarray:
    return np.ones(len(data[0]), dtype=bool)


# Of each statistic, its metrics: what is computed by group, from which column, in groups that have which rows.
ORACLES: dict[str, list[tuple[Callable[..., float], int, Callable[[Rows], np.ndarray]]]] = {
    "demographic_parity_difference": [(selected, 1, everything)],
    "demographic_parity_ratio": [(selected, 1, everything)],
    "equal_opportunity_difference": [(recall_score, 1, lambda data: data[0])],
    "equalized_odds_difference": [(recall_score, 1, lambda data: data[0]), (false_positives, 1, lambda data: ~data[0])],
    "predictive_parity_difference": [(precision_score, 1, lambda data: data[1])],
    "group_calibration_difference": [(overstated, 2, everything)],
    "group_error_difference": [(zero_one_loss, 1, everything)],
}


def expected(name: str, data: Rows) -> float | None:
    """The value, or None where it is not defined."""
    found = [by_hand(metric, data, keep, column) for metric, column, keep in ORACLES[name]]
    if min(map(len, found)) < 2:
        return None
    if name.endswith("ratio"):
        return min(found[0]) / max(found[0]) if max(found[0]) > 0 else None
    return max(max(values) - min(values) for values in found)


def value_or_none(name: str, groups: dict[str, GroupCounts]) -> float | None:
    try:
        return float(MODULES[name].STATISTIC.compute(groups))
    except NoData:
        return None


@every
@given(rows())
def test_a_value_is_that_of_scikit_learn_by_group(name: str, data: Rows) -> None:
    found, right = value_or_none(name, counted(data)), expected(name, data)
    assert found is None if right is None else found == pytest.approx(right, abs=1e-12)


def fairlearn_value(name: str, data: Rows) -> float:
    import fairlearn.metrics as fairlearn  # a second to import

    label, predicted, score, group = data
    metrics = {
        "predictive_parity_difference": (precision_score, predicted),
        "group_calibration_difference": (overstated, score),
        "group_error_difference": (zero_one_loss, predicted),
    }
    if name in metrics:
        metric, said = metrics[name]
        frame = fairlearn.MetricFrame(metrics=metric, y_true=label, y_pred=said, sensitive_features=group)
        return float(frame.difference())
    return float(getattr(fairlearn, name)(label, predicted, sensitive_features=group))


@every
def test_a_value_is_that_of_fairlearn(name: str) -> None:
    """fairlearn takes 0 for a group without such rows, so it is asked of groups that all have them."""

    @given(rows())
    def holds(data: Rows) -> None:
        groups = [tuple(part[data[3] == code] for part in data) for code in np.unique(data[3])]
        assume(all(keep(group).any() for group in groups for _, _, keep in ORACLES[name]))
        right = expected(name, data)
        assume(right is not None)
        assert value_or_none(name, counted(data)) == pytest.approx(fairlearn_value(name, data), abs=1e-12)

    holds()


# What fairlearn 0.15.0 prints of `adult` with a rule for a model (educated for 13 years or more, or a capital gain above 5000;
# score = years / 16), and of the reference of `ma_employment` with its own; groups of 100 rows or more.
PRINTED = {
    ("adult", "sex"): (
        0.05500316644371675, 0.8094383081083031, 0.051058020026512496, 0.051058020026512496, 0.30891493846791135,
        0.1913318123274912, 0.03929051232075731,
    ),
    ("adult", "race"): (
        0.31554774277590236, 0.28460146078120035, 0.23142920649033122, 0.2646260718549875, 0.14404673174067978,
        0.09323077762859794, 0.1992240135587523,
    ),
    ("adult", "sex/race"): (
        0.35523689463178904, 0.2568948467201406, 0.3681818181818182, 0.3681818181818182, 0.38450680826637473,
        0.22442615867098464, 0.21223273563699097,
    ),
    ("ma_employment", "SEX"): (
        0.0017125635002073203, 0.9968234740233236, 0.011558458782480185, 0.05609573618118843, 0.067573890532588,
        0.0011817959630418037, 0.0369248294458,
    ),
    ("ma_employment", "RAC1P"): (
        0.1510155101139528, 0.7257155993240689, 0.0558099286543412, 0.10038683788248687, 0.04670899144750207,
        0.02516666798759396, 0.049914765282532025,
    ),
}  # fmt: skip


def real_rows(shared_data: Path, name: str, column: str) -> tuple[Rows, list[str]]:
    import pandas as pd

    if name == "adult":
        frame = pd.read_parquet(shared_data / "adult" / "adult.parquet")
        predicted = (frame["education_num"] >= 13) | (frame["capital_gain"] > 5000)
        score, label = frame["education_num"] / 16, frame["income_gt_50k"].astype(bool)
    else:
        frame = pd.read_parquet(shared_data / name / "reference.parquet")
        predicted, score, label = frame["prediction"] == 1, frame["predicted_probability"], frame["employed"] == 1
    group = frame[column.split("/")].astype(str).agg("/".join, axis=1)
    kept = group.map(group.value_counts()) >= 100
    names, codes = np.unique(group[kept].to_numpy(dtype=str), return_inverse=True)
    columns = (each[kept].to_numpy() for each in (label, predicted, score))
    return (*columns, codes), names.tolist()  # type: ignore[return-value]


@pytest.mark.parametrize(("data", "column"), list(PRINTED))
def test_on_real_people_the_values_are_fairlearns(shared_data: Path, data: str, column: str) -> None:
    (label, predicted, score, codes), names = real_rows(shared_data, data, column)
    groups = group_binary(BinaryOutcomes(label, predicted, score), codes, names)
    for name, printed in zip(NAMES, PRINTED[data, column], strict=True):
        assert value_or_none(name, groups) == pytest.approx(printed, abs=1e-12), name
        low, high = MODULES[name].interval(groups, 0.95)
        assert low <= printed <= high


def test_the_employment_model_selects_white_people_more_often_than_black_ones(shared_data: Path) -> None:
    (label, predicted, score, codes), names = real_rows(shared_data, "ma_employment", "RAC1P")
    groups = group_binary(BinaryOutcomes(label, predicted, score), codes, names)
    module = MODULES["demographic_parity_difference"]
    two = {name: groups[name] for name in ("1", "2")}  # .551 against .460, says the data's README
    assert module.by_group(two).by_name == pytest.approx({"1": 0.551, "2": 0.460}, abs=5e-4)
    assert module.interval(two)[0] > 0.07
    assert module.significance(two) < 1e-20
    # Men and women differ by .0017: that may be chance, and is.
    (label, predicted, score, codes), names = real_rows(shared_data, "ma_employment", "SEX")
    groups = group_binary(BinaryOutcomes(label, predicted, score), codes, names)
    assert module.interval(groups)[0] == 0
    assert module.significance(groups) > 0.5


@given(
    some.lists(
        some.tuples(some.floats(-1e6, 1e6), some.floats(-1e6, 1e6), some.integers(0, 2)), min_size=1, max_size=40
    )
)
def test_errors_of_numbers_are_compared_by_their_mean(data: list[tuple[float, float, int]]) -> None:
    label, predicted, group = (np.array(part) for part in zip(*data, strict=True))
    groups = group_numeric(NumericOutcomes(label, predicted), group, LETTERS[:3])
    errors = [mean_absolute_error(label[group == code], predicted[group == code]) for code in np.unique(group)]
    found = value_or_none("group_error_difference", groups)
    assert found is None if len(errors) < 2 else found == pytest.approx(max(errors) - min(errors), rel=1e-9, abs=1e-6)


def test_a_group_without_such_rows_is_left_out_and_named() -> None:
    groups = {"a": GroupCounts(tp=3, fn=1), "b": GroupCounts(tp=1, fn=1), "none positive": GroupCounts(tn=9)}
    module = MODULES["equal_opportunity_difference"]
    assert module.STATISTIC.compute(groups) == 0.25
    assert module.by_group(groups).left_out == ("none positive",)
    assert module.by_group(groups).names == ("a", "b")
    del groups["b"]
    with pytest.raises(NoData, match=r"^expected two groups with positive labels, got 1, none in none positive$"):
        module.STATISTIC.compute(groups)


# --- counts -----------------------------------------------------------------------------------------------------------


@given(rows(), some.data())
def test_counts_of_parts_add_up_to_those_of_the_whole(data: Rows, draw: Any) -> None:
    part = np.array(draw.draw(some.lists(some.integers(0, 2), min_size=len(data[0]), max_size=len(data[0]))))
    pieces = [counted(tuple(column[part == code] for column in data)) for code in range(3)]  # type: ignore[arg-type]
    merged, whole = merge_groups(pieces), counted(data)
    for name, counts in whole.items():
        assert astuple(merged[name]) == pytest.approx(astuple(counts), rel=1e-12, abs=1e-12)
        assert astuple(merged[name])[:7] == astuple(counts)[:7]


def test_rows_of_no_group_and_rows_without_a_label_are_counted_where_they_belong() -> None:
    predicted = np.array([True, False, True])
    codes = np.array([0, 1, -1])
    bare = group_predictions(predicted, codes, ["a", "b"])
    assert bare == {"a": GroupCounts(rows=1, selected=1), "b": GroupCounts(rows=1)}
    labelled = group_binary(BinaryOutcomes(np.array([True, False, True]), predicted), codes, ["a", "b"])
    assert labelled["a"] == GroupCounts(rows=1, selected=1, tp=1)
    assert labelled["b"] == GroupCounts(rows=1, tn=1)


# --- what is odd ------------------------------------------------------------------------------------------------------


ODD: dict[str, dict[str, GroupCounts]] = {
    "no group": {},
    "one group": {"a": GroupCounts(5, 2, 1, 1, 2, 1, 5, 1.0, 2.0, 1.5, 1.0)},
    "empty groups": {"a": GroupCounts(), "b": GroupCounts()},
    "single rows": {"a": GroupCounts(1, 1, 0, 0, 0, 1, 1, 0.0, 0.5, 0.5, 0.25), "b": GroupCounts(1, 0, 1, 0, 0, 0, 1)},
    "nobody selected": {"a": GroupCounts(5, 0, 3, 0, 2), "b": GroupCounts(7, 0, 3, 0, 4)},
    "everybody": {"a": GroupCounts(5, 5, 0, 3, 0, 2), "b": GroupCounts(7, 7, 0, 3, 0, 4)},
    "apart": {"a": GroupCounts(50, 50, 0, 0, 0, 50), "b": GroupCounts(70, 0, 70, 0, 0, 0)},
    "constant": {"a": GroupCounts(9, 9, 0, 4, 0, 5, 9, 2.0, 2.5, 4.5, 2.25), "b": GroupCounts(8, 0, 8, measured=8)},
    "huge": {"a": GroupCounts(10**9, 10**8, 10**9 - 2 * 10**8, 0, 10**8, 10**8), "b": GroupCounts(3, 1, 1, 1, 1, 0)},
    "huge errors": {
        name: group_numeric(NumericOutcomes(np.array([0.0, -1e308, 1e300]), np.array([size, 1e308, 0.0])), np.zeros(3, int), [name])[name]
        for name, size in (("a", 1.0), ("b", 1e308))
    },
    "many": {str(i): GroupCounts(100, 40 + i % 3, 50, 10, 10, 30, 100, 20.0, 30.0, 30.0, 15.0) for i in range(60)},
}  # fmt: skip


def outcome(compute: Callable[..., Any], groups: dict[str, GroupCounts]) -> Any:
    try:
        return compute(groups)
    except NoData as reason:
        return reason


@every
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.filterwarnings("error")
def test_what_is_odd_is_a_number_or_a_reason(name: str, odd: str) -> None:
    module = MODULES[name]
    statistic: Statistic = module.STATISTIC
    for compute in (statistic.compute, lambda groups: module.interval(groups, 0.95), module.significance):
        found = outcome(compute, ODD[odd])
        if isinstance(found, NoData):
            assert str(found).startswith("expected")
            continue
        for number in found if isinstance(found, tuple) else (found,):
            assert type(number) is float
            assert math.isfinite(number)
            assert statistic.low <= number <= statistic.high


@every
@given(rows(), some.permutations(LETTERS[:4]))
def test_an_interval_holds_the_value_and_groups_have_no_order(name: str, data: Rows, order: list[str]) -> None:
    module, groups = MODULES[name], counted(data)
    value = value_or_none(name, groups)
    assume(value is not None)
    try:
        low, high = module.interval(groups, 0.9)
    except NoData:
        assert any(counts.measured == 1 for counts in groups.values())
        return
    assert low - 1e-12 <= value <= high + 1e-12  # type: ignore[operator]
    wider = module.interval(groups, 0.99)
    assert wider[0] <= low + 1e-12
    assert wider[1] >= high - 1e-12
    moved = {letter: groups[letter] for letter in order}
    assert module.interval(moved, 0.9) == pytest.approx((low, high), abs=1e-12)
    assert module.significance(moved) == pytest.approx(module.significance(groups), rel=1e-9)
    assert 0 <= module.significance(groups) <= 1


# --- the formulas -----------------------------------------------------------------------------------------------------


def shares(*counts: tuple[float, float]) -> Shares:
    part, whole = np.array(counts, dtype=np.float64).T
    return Shares(LETTERS[: len(counts)], part, whole)


def test_two_groups_have_newcombes_interval() -> None:
    """Newcombe (1998), table II, method 10, contrasts (a), (b) and (e)."""
    assert difference_interval(shares((56, 70), (48, 80)), 0.95) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert difference_interval(shares((9, 10), (3, 10)), 0.95) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    assert difference_interval(shares((5, 56), (0, 29)), 0.95) == pytest.approx((0.0, 0.1926), abs=5e-5)


@given(some.integers(1, 40), some.integers(1, 40), some.integers(0, 40), some.integers(0, 40))
def test_a_ratios_limit_is_where_the_difference_to_so_many_times_the_other_ends(n: int, m: int, x: int, y: int) -> None:
    """MOVER-R: at the lower limit r of p / q, zero is the lower MOVER limit of p - r q."""
    groups = [(min(x, n), n), (min(y, m), m)]
    assume(groups[0][0] + groups[1][0] > 0)
    low, high = ratio_interval(shares(*groups), 0.95)
    first, second = (
        (part / whole, *scipy.stats.binomtest(part, whole).proportion_ci(method="wilson")) for part, whole in groups
    )
    # The limit is that of one of the two ratios: the first over the second, or the other way round.
    pairs = [(first, second), (second, first)]
    if 0 < low < 1:
        assert min(
            abs((p - low * q) ** 2 - (p - p_low) ** 2 - low**2 * (q_high - q) ** 2)
            for (p, p_low, _), (q, _, q_high) in pairs
        ) == pytest.approx(0, abs=1e-9)
    if 0 < high < 1:
        assert min(
            abs((p - high * q) ** 2 - (p_high - p) ** 2 - high**2 * (q - q_low) ** 2)
            for (p, _, p_high), (q, q_low, _) in pairs
        ) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("groups", [2, 3, 5, 12, 100])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999, 0.999999])
def test_the_critical_value_is_the_studentized_ranges(groups: int, level: float) -> None:
    right = scipy.stats.studentized_range.ppf(level, groups, np.inf) / math.sqrt(2)
    assert critical(groups, level) == pytest.approx(right, rel=1e-5)


@pytest.mark.parametrize("freedom", [1, 2, 3, 8, 59, 300])
@pytest.mark.parametrize("x", [0.0, 1e-9, 0.5, 3.0, 20.0, 90.0, 600.0, 5000.0])
def test_the_chi_square_tail_is_scipys(freedom: int, x: float) -> None:
    assert chi_square_tail(x, freedom) == pytest.approx(scipy.stats.chi2.sf(x, freedom), rel=1e-9, abs=1e-300)


@given(some.integers(1, 60), some.integers(1, 60), some.integers(0, 4), some.integers(0, 4))
def test_few_rows_are_judged_by_fishers_exact_test(n: int, m: int, x: int, y: int) -> None:
    first, second = (min(x, n), n), (min(y, m), m)
    table = np.array([(part, whole - part) for part, whole in (first, second)])
    assume(table.sum(axis=0).min() * min(n, m) < 5 * table.sum())
    assert same_share(shares(first, second)) == pytest.approx(scipy.stats.fisher_exact(table).pvalue, rel=1e-6)


def test_many_rows_are_judged_by_the_corrected_g_test() -> None:
    counts = ((30, 100), (45, 120), (80, 200))
    table = np.array([(part, whole - part) for part, whole in counts], dtype=np.float64)
    g = scipy.stats.chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic
    rows_of, columns, total = table.sum(axis=1), table.sum(axis=0), table.sum()
    q = 1 + (total * (1 / rows_of).sum() - 1) * (total * (1 / columns).sum() - 1) / (6 * total * 2)
    assert same_share(shares(*counts)) == pytest.approx(scipy.stats.chi2.sf(g / q, 2), rel=1e-9)


def means(samples: list[np.ndarray]) -> Means:
    return Means(
        LETTERS[: len(samples)],
        np.array([sample.mean() for sample in samples]),
        np.array([sample.var(ddof=1) for sample in samples]),
        np.array([len(sample) for sample in samples], dtype=np.float64),
    )


def test_two_means_are_judged_as_by_welch() -> None:
    rng = np.random.default_rng(5)
    for shift in (0.0, 0.3, 1.0):
        first, second = rng.normal(0, 1, 40), rng.normal(shift, 3, 90)
        welch = scipy.stats.ttest_ind(first, second, equal_var=False)
        assert same_mean(means([first, second])) == pytest.approx(welch.pvalue, rel=0.02)
        limits = welch.confidence_interval(0.95)
        low, high = mean_interval(means([first, second]), 0.95)
        assert high == pytest.approx(max(abs(limits.low), abs(limits.high)), rel=1e-4)
        assert low == pytest.approx(max(limits.low, -limits.high, 0.0), rel=1e-4)


# --- coverage ---------------------------------------------------------------------------------------------------------

SETTINGS = {
    "equal": ([0.5, 0.5], [100, 100]),
    "apart": ([0.5, 0.3], [100, 100]),
    "rare and uneven": ([0.05, 0.02], [100, 400]),
    "small": ([0.5, 0.2], [30, 30]),
    "four equal": ([0.5] * 4, [100] * 4),
    "one of four": ([0.5, 0.5, 0.5, 0.3], [100, 1000, 50, 100]),
    "ten equal": ([0.3] * 10, [200] * 10),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_intervals_hold_the_truth_as_often_as_they_say(setting: str) -> None:
    """1500 simulated windows each: nominal 95 %, and at least 93.5 % seen (2.6 standard errors below 95 %)."""
    rng = np.random.default_rng(20)
    truth, size = (np.array(part) for part in SETTINGS[setting])
    gap, ratio = truth.max() - truth.min(), truth.min() / truth.max()
    held = np.zeros(2)
    for _ in range(1500):
        drawn = shares(*zip(rng.binomial(size, truth), size, strict=True))
        low, high = difference_interval(drawn, 0.95)
        held[0] += low <= gap <= high
        if not drawn.part.any():
            held[1] += 1
            continue
        low, high = ratio_interval(drawn, 0.95)
        held[1] += low <= ratio <= high
    assert (held / 1500).min() >= 0.935
    if "equal" in setting:  # and no wider than need be
        assert (held / 1500).max() <= 0.97


def test_the_interval_of_equalised_odds_holds_the_truth() -> None:
    rng = np.random.default_rng(21)
    module, held = MODULES["equalized_odds_difference"], 0
    for _ in range(1500):
        groups = {}
        for name, true_rate, false_rate in (("a", 0.8, 0.2), ("b", 0.7, 0.15)):
            tp, fp = int(rng.binomial(80, true_rate)), int(rng.binomial(160, false_rate))
            groups[name] = GroupCounts(tp=tp, fn=80 - tp, fp=fp, tn=160 - fp)
        low, high = module.interval(groups, 0.95)
        held += low <= 0.1 + 1e-12 and high >= 0.1
    assert held / 1500 >= 0.935


@pytest.mark.parametrize("size", [(30, 30), (1000, 100), (100,) * 5])
def test_the_interval_of_calibration_holds_the_truth(size: tuple[int, ...]) -> None:
    """Of a model that overstates one group by 0.1: scores of all sizes, so residuals are skewed."""
    rng = np.random.default_rng(22)
    module, held = MODULES["group_calibration_difference"], 0
    names = LETTERS[: len(size)]
    codes = np.repeat(np.arange(len(size)), size)
    for _ in range(1000):
        score = 0.1 + 0.9 * rng.beta(0.7, 1.5, len(codes))
        label = rng.random(len(codes)) < score - 0.1 * (codes == 0)
        groups = group_binary(BinaryOutcomes(label, score > 0.5, score), codes, names)
        low, high = module.interval(groups, 0.95)
        held += low <= 0.1 <= high
    assert held / 1000 >= 0.93


@pytest.mark.parametrize(
    ("truth", "size"), [(0.5, [100, 100]), (0.02, [300] * 4), (0.02, [100] * 10), (0.05, [100, 1000])]
)
def test_groups_that_do_not_differ_are_seldom_told_apart(truth: float, size: list[int]) -> None:
    """4000 simulated windows each: no more p-values below a level than the level allows, within three standard errors."""
    rng = np.random.default_rng(23)
    drawn = rng.binomial(np.array(size), truth, (4000, len(size)))
    different, places = np.unique(np.sort(drawn, axis=1) if len(set(size)) == 1 else drawn, axis=0, return_inverse=True)
    p = np.array([same_share(shares(*zip(row, size, strict=True))) for row in different])[places]
    for level in (0.05, 0.01):
        # at most a fifth too eager: a p-value of so few whole rows has steps
        assert np.mean(p <= level) <= 1.2 * level + 3 * math.sqrt(level / 4000)
