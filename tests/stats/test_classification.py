"""The statistics of predicted classes and of their probabilities: scikit-learn as the second opinion, and what odd rows give."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as some
from sklearn.calibration import calibration_curve

from monitor.records import Direction, NoData, Statistic
from monitor.stats._decision import decided, threshold_of_costs
from monitor.stats._outcomes import BinaryOutcomes, ClassOutcomes

pytestmark = pytest.mark.slow

EXAMPLES = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
OF_CLASSES = ["accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "mcc"]
OF_ORDER = ["roc_auc", "pr_auc"]
OF_PROBABILITIES = ["log_loss", "brier", "ece"]
EVERY: dict[str, Statistic] = {
    name: importlib.import_module(f"monitor.stats.{name}").STATISTIC
    for name in [*OF_CLASSES, *OF_ORDER, *OF_PROBABILITIES]
}
WITH_INFLUENCE = [name for name in EVERY if name != "ece"]
AVERAGED = ["precision", "recall", "specificity", "f1"]
AVERAGES = ["macro", "micro", "weighted"]
every_statistic = pytest.mark.parametrize("name", EVERY)

CLASSES = ("ape", "bee", "cat", "dog")
ANY_FLOAT = some.floats(allow_nan=False, allow_infinity=False)
# Mostly of a few values, so that ties are the rule.
PROBABILITY = some.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]) | some.floats(0, 1)


@some.composite
def binary(draw: some.DrawFn, scores: some.SearchStrategy[float] = PROBABILITY) -> BinaryOutcomes:
    rows = draw(some.lists(some.tuples(some.booleans(), some.booleans(), scores), min_size=1, max_size=30))
    label, predicted, score = zip(*rows, strict=True)
    return BinaryOutcomes(np.array(label), np.array(predicted), np.array(score))


@some.composite
def several(draw: some.DrawFn, scores: some.SearchStrategy[float] | None = None) -> ClassOutcomes:
    """Rows of four classes, of which not all need to be there; their scores add up to 1 if none are said."""
    place = some.integers(0, len(CLASSES) - 1)
    each = some.lists(some.integers(0, 4) if scores is None else scores, min_size=len(CLASSES), max_size=len(CLASSES))
    rows = draw(some.lists(some.tuples(place, place, each), min_size=1, max_size=30))
    label, predicted, values = (np.array(column) for column in zip(*rows, strict=True))
    if scores is None:
        values = (values + 1e-9) / (values + 1e-9).sum(axis=1, keepdims=True)
    return ClassOutcomes(label, predicted, CLASSES, values.astype(np.float64))


def outcomes() -> some.SearchStrategy[Any]:
    return binary() | several()


def labels_of(data: Any) -> int:
    return len(np.unique(data.label))


def defined(name: str, data: Any) -> bool:
    """Whether there should be a value, said once more and otherwise."""
    if name in {"balanced_accuracy", "mcc", "roc_auc"} or (name == "specificity" and isinstance(data, ClassOutcomes)):
        # Of more classes, any other than the labelled one that is predicted has a specificity.
        return labels_of(data) > 1 or (name == "specificity" and bool((data.label != data.predicted).any()))
    if isinstance(data, ClassOutcomes):
        return True
    missing = {
        "precision": data.predicted,
        "recall": data.label,
        "pr_auc": data.label,
        "specificity": ~data.label,
        "f1": data.label | data.predicted,
    }
    return name not in missing or bool(missing[name].any())


# --- second opinions --------------------------------------------------------------------------------------------------


def ece_by_hand(label: Any, score: Any) -> float:
    rows = sorted(zip(score.tolist(), label.tolist(), strict=True))
    cuts = sorted({rows[len(rows) * part // 10][0] for part in range(10)})
    bins: dict[float, list[float]] = {}
    for stated, positive in rows:
        bins.setdefault(max(cut for cut in cuts if cut <= stated), []).append(stated - positive)
    return math.fsum(abs(math.fsum(surplus)) for surplus in bins.values()) / len(rows)


def specificities(data: ClassOutcomes, weight: Any = None) -> tuple[Any, Any, Any, Any]:
    """True negatives, negatives and rows of each class, and which classes have negatives and are there at all."""
    cells = sk.multilabel_confusion_matrix(data.label, data.predicted, labels=range(4), sample_weight=weight)
    negatives, true = cells[:, 0].sum(axis=1), cells[:, 1].sum(axis=1)
    return cells[:, 0, 0], negatives, true, (negatives > 0) & (true + cells[:, 0, 1] > 0)


def specificity_of_many(data: ClassOutcomes, weight: Any = None, average: str = "macro") -> float:
    found, negatives, true, used = specificities(data, weight)
    if average == "micro":
        return float(found[used].sum() / negatives[used].sum())
    weights = true[used] if average == "weighted" else np.ones(used.sum())
    return float(np.average(found[used] / negatives[used], weights=weights))


def over_labelled(score_of: Callable[..., float]) -> Callable[..., float]:
    """The mean over each labelled class against the rest."""

    def mean(data: ClassOutcomes, weight: Any = None) -> float:
        assert data.scores is not None
        return float(
            np.mean([score_of(data.label == c, data.scores[:, c], sample_weight=weight) for c in np.unique(data.label)])
        )

    return mean


def sk_balanced(data: Any, weight: Any = None) -> float:
    labelled = np.unique(data.label)
    return float(
        sk.recall_score(
            data.label, data.predicted, labels=labelled, average="macro", sample_weight=weight, zero_division=0
        )
    )


QUIET: dict[str, Any] = {"zero_division": 0}
OF_TWO: dict[str, Callable[..., float]] = {
    "accuracy": lambda d, w=None: sk.accuracy_score(d.label, d.predicted, sample_weight=w),
    "balanced_accuracy": sk_balanced,
    "precision": lambda d, w=None: sk.precision_score(d.label, d.predicted, sample_weight=w, **QUIET),
    "recall": lambda d, w=None: sk.recall_score(d.label, d.predicted, sample_weight=w, **QUIET),
    "specificity": lambda d, w=None: sk.recall_score(d.label, d.predicted, sample_weight=w, pos_label=False, **QUIET),
    "f1": lambda d, w=None: sk.f1_score(d.label, d.predicted, sample_weight=w, **QUIET),
    "mcc": lambda d, w=None: sk.matthews_corrcoef(d.label, d.predicted, sample_weight=w),
    "roc_auc": lambda d, w=None: sk.roc_auc_score(d.label, d.score, sample_weight=w),
    "pr_auc": lambda d, w=None: sk.average_precision_score(d.label, d.score, sample_weight=w),
    "log_loss": lambda d, w=None: sk.log_loss(d.label, d.score, labels=[False, True], sample_weight=w),
    "brier": lambda d, w=None: sk.brier_score_loss(d.label, d.score, labels=[False, True], sample_weight=w, pos_label=True),
    "ece": lambda d: ece_by_hand(d.label, d.score),
}  # fmt: skip
OF_MANY: dict[str, Callable[..., float]] = OF_TWO | {
    "precision": lambda d, w=None: sk.precision_score(d.label, d.predicted, average="macro", sample_weight=w, **QUIET),
    "recall": lambda d, w=None: sk.recall_score(d.label, d.predicted, average="macro", sample_weight=w, **QUIET),
    "specificity": specificity_of_many,
    "f1": lambda d, w=None: sk.f1_score(d.label, d.predicted, average="macro", sample_weight=w, **QUIET),
    "roc_auc": over_labelled(sk.roc_auc_score),
    "pr_auc": over_labelled(sk.average_precision_score),
    "log_loss": lambda d, w=None: sk.log_loss(d.label, d.scores, labels=range(4), sample_weight=w),
    "brier": lambda d, w=None: sk.brier_score_loss(d.label, d.scores, labels=range(4), sample_weight=w),
    "ece": lambda d: ece_by_hand(d.label == d.scores.argmax(axis=1), d.scores.max(axis=1)),
}  # fmt: skip


def opinion(name: str, data: Any, weight: Any = None) -> float:
    oracle = (OF_TWO if isinstance(data, BinaryOutcomes) else OF_MANY)[name]
    return oracle(data) if weight is None else oracle(data, weight)


@every_statistic
def test_a_statistic_equals_its_second_opinion(name: str) -> None:
    @EXAMPLES
    @given(outcomes())
    def holds(data: Any) -> None:
        if not defined(name, data):
            with pytest.raises(NoData):
                EVERY[name].compute(data)
            return
        value = EVERY[name].compute(data)
        assert type(value) is float
        assert value == pytest.approx(opinion(name, data), rel=1e-9, abs=1e-9)
        assert EVERY[name].low <= value <= EVERY[name].high

    holds()


@pytest.mark.parametrize("name", AVERAGED)
@pytest.mark.parametrize("average", AVERAGES)
def test_averages_over_classes_are_scikit_learns(name: str, average: str) -> None:
    """Of two classes as well as of more; those without a value of their own count as 0, but for specificity."""
    score = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}.get(name)

    @EXAMPLES
    @given(outcomes())
    def holds(data: Any) -> None:
        if score is not None:
            expected = score(data.label, data.predicted, average=average, **QUIET)
        else:
            places = ClassOutcomes(data.label.astype(np.int64), data.predicted.astype(np.int64), CLASSES)
            assume(defined(name, places))
            expected = (
                specificity_of_many(places, average=average) if average != "weighted" or labels_of(data) > 1 else None
            )
        if expected is None:
            with pytest.raises(NoData):
                EVERY[name].compute(data, average=average)
            return
        assert EVERY[name].compute(data, average=average) == pytest.approx(expected, rel=1e-12, abs=1e-12)

    holds()


@pytest.mark.parametrize("name", AVERAGED)
def test_one_class_of_many_scores_as_that_class_against_the_rest(name: str) -> None:
    @EXAMPLES
    @given(outcomes(), some.integers(0, 1))
    def holds(data: Any, place: int) -> None:
        alone = BinaryOutcomes(data.label == place, data.predicted == place)
        if not defined(name, alone):
            with pytest.raises(NoData):
                EVERY[name].compute(data, per_class=place)
            return
        value = EVERY[name].compute(data, per_class=place)
        assert value == EVERY[name].compute(alone)
        of_alone = influence(name, alone, value)
        np.testing.assert_allclose(influence(name, data, value, per_class=place), of_alone, rtol=0, atol=1e-12)

    holds()


@pytest.mark.parametrize("name", AVERAGED)
def test_of_two_classes_the_positive_one_is_meant(name: str) -> None:
    data = two_classes(200, seed=1)
    assert EVERY[name].compute(data) == EVERY[name].compute(data, per_class=1)
    assert EVERY[name].compute(data) != EVERY[name].compute(data, per_class=0)


@EXAMPLES
@given(several())
def test_roc_auc_of_many_is_scikit_learns_one_versus_rest(data: ClassOutcomes) -> None:
    assume(labels_of(data) == len(CLASSES))
    expected = sk.roc_auc_score(data.label, data.scores, multi_class="ovr")
    assert EVERY["roc_auc"].compute(data) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@EXAMPLES
@given(binary(ANY_FLOAT))
def test_ranking_takes_any_scores(data: BinaryOutcomes) -> None:
    assume(labels_of(data) == 2)
    for name in OF_ORDER:
        assert EVERY[name].compute(data) == pytest.approx(opinion(name, data), rel=1e-12, abs=1e-12)


@EXAMPLES
@given(some.lists(some.integers(0, 10**6), unique=True, min_size=1, max_size=8), some.randoms(use_true_random=False))
def test_ece_is_that_of_scikit_learns_calibration_curve(numbers: list[int], random: Any) -> None:
    """Its quantile bins hold equally many rows where no scores are alike and tens of rows are."""
    score = np.array([(number + tenth * 1_000_003) / 10**8 for number in numbers for tenth in range(10)])
    label = np.array([random.random() < 0.5 for _ in score])
    positive, stated = calibration_curve(label, score, n_bins=10, strategy="quantile")
    data = BinaryOutcomes(label, label, score)
    assert EVERY["ece"].compute(data) == pytest.approx(np.mean(np.abs(positive - stated)), rel=1e-9, abs=1e-12)


LABEL = np.array([1, 1, 1, 0, 0, 0, 0, 1], dtype=bool)
SCORE = np.array([0.9, 0.6, 0.4, 0.1, 0.2, 0.7, 0.4, 0.8])
BY_HAND = {
    "accuracy": 6 / 8,
    "balanced_accuracy": 3 / 4,
    "precision": 3 / 4,
    "recall": 3 / 4,
    "specificity": 3 / 4,
    "f1": 3 / 4,
    "mcc": (3 * 3 - 1 * 1) / 16,
    "roc_auc": (4 + 3 + 2.5 + 4) / 16,
    "pr_auc": (1 + 1 + 3 / 4 + 4 / 6) / 4,
    "log_loss": -sum(map(math.log, (0.9, 0.6, 0.4, 0.9, 0.8, 0.3, 0.6, 0.8))) / 8,
    "brier": (0.01 + 0.16 + 0.36 + 0.01 + 0.04 + 0.49 + 0.16 + 0.04) / 8,
    "ece": (0.1 + 0.4 + 0.2 + 0.2 + 0.7 + 0.2 + 0.1) / 8,
}


@every_statistic
def test_a_statistic_equals_what_is_worked_out_by_hand(name: str) -> None:
    data = BinaryOutcomes(LABEL, decided(SCORE, 0.5), SCORE)
    assert EVERY[name].compute(data) == pytest.approx(BY_HAND[name], rel=1e-12)


# --- odd rows ---------------------------------------------------------------------------------------------------------


def rows_of(label: list[int], predicted: list[int], score: list[float] | None = None) -> BinaryOutcomes:
    sides = np.array(label, dtype=bool), np.array(predicted, dtype=bool)
    return BinaryOutcomes(*sides, None if score is None else np.array(score, dtype=np.float64))


def many_of(label: list[int], predicted: list[int], scores: list[list[float]] | None = None) -> ClassOutcomes:
    places = np.array(label, dtype=np.int64), np.array(predicted, dtype=np.int64)
    return ClassOutcomes(*places, CLASSES, None if scores is None else np.array(scores, dtype=np.float64))


BOTH, AT_LEAST_TWO = (
    "^expected labels of both classes, got only ",
    "^expected labels of at least two classes, got only 'bee' ones$",
)
UNDEFINED: list[tuple[str, Any, dict[str, Any], str]] = [
    *((name, rows_of([], [], []), {}, "^no labelled rows$") for name in EVERY),
    *((name, many_of([], [], None), {}, "^no labelled rows$") for name in EVERY),
    *((name, many_of([], []), {"average": "micro"}, "^no labelled rows$") for name in AVERAGED),
    *((name, many_of([], []), {"per_class": 1}, "^no labelled rows$") for name in AVERAGED),
    *((name, rows_of([0, 1], [0, 1]), {}, "^the model gives no probabilities$") for name in [*OF_ORDER, *OF_PROBABILITIES]),
    *((name, many_of([0, 1], [0, 1]), {}, "^the model gives no probabilities$") for name in [*OF_ORDER, *OF_PROBABILITIES]),
    *((name, rows_of([0], [1], [0.1]), {}, BOTH + "negative ones$") for name in ["balanced_accuracy", "mcc", "roc_auc"]),
    *((name, rows_of([1], [1], [0.1]), {}, BOTH + "positive ones$") for name in ["balanced_accuracy", "mcc", "roc_auc"]),
    *((name, many_of([1], [2], [[1, 0, 0, 0]]), {}, AT_LEAST_TWO) for name in ["balanced_accuracy", "mcc", "roc_auc"]),
    ("precision", rows_of([1, 0], [0, 0]), {}, "^expected rows predicted positive, got none$"),
    ("precision", rows_of([1, 0], [1, 1]), {"per_class": 0}, "^expected rows predicted negative, got none$"),
    ("precision", many_of([1, 0], [0, 0]), {"per_class": 2}, "^expected rows predicted 'cat', got none$"),
    ("recall", rows_of([0, 0], [1, 0]), {}, "^expected rows labelled positive, got none$"),
    ("recall", many_of([1, 0], [2, 2]), {"per_class": 2}, "^expected rows labelled 'cat', got none$"),
    ("specificity", rows_of([1, 1], [1, 0]), {}, "^expected rows labelled other than positive, got none$"),
    ("specificity", many_of([1, 1], [1, 1]), {}, AT_LEAST_TWO),
    *(("specificity", many_of([1, 1], [1, 1]), {"average": average}, AT_LEAST_TWO) for average in AVERAGES),
    ("specificity", many_of([1, 1], [1, 0]), {"average": "weighted"}, AT_LEAST_TWO),
    ("specificity", rows_of([1, 1], [1, 0]), {"average": "weighted"}, BOTH + "positive ones$"),
    ("f1", rows_of([0, 0], [0, 0]), {}, "^expected rows labelled or predicted positive, got none$"),
    ("f1", many_of([0, 0], [0, 0]), {"per_class": 3}, "^expected rows labelled or predicted 'dog', got none$"),
    ("pr_auc", rows_of([0, 0], [1, 0], [0.1, 0.2]), {}, "^expected labels of the positive class, got only negative ones$"),
    *((name, rows_of([0, 1], [0, 1], [0.5, 3.25]), {}, r"^expected probabilities between 0 and 1, got 3\.25$") for name in OF_PROBABILITIES),
    *((name, rows_of([0, 1], [0, 1], [-1e300, 0]), {}, r"^expected probabilities between 0 and 1, got -1e\+300$") for name in OF_PROBABILITIES),
    *((name, many_of([0], [0], [[2.0, 0, 0, 0]]), {}, "^expected probabilities between 0 and 1, got 2$") for name in OF_PROBABILITIES),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "parameters", "reason"), UNDEFINED)
def test_where_it_is_not_defined_there_is_no_data_and_a_reason(
    name: str, data: Any, parameters: dict[str, Any], reason: str
) -> None:
    with pytest.raises(NoData, match=reason):
        EVERY[name].compute(data, **parameters)


@pytest.mark.parametrize("name", AVERAGED)
def test_settings_that_contradict_each_other_are_refused(name: str) -> None:
    data = many_of([0, 1], [0, 1])
    with pytest.raises(ValueError, match=r"^expected an average or one class, got 'macro' and class 1$"):
        EVERY[name].compute(data, average="macro", per_class=1)
    with pytest.raises(ValueError, match=r"^expected the average to be macro, micro or weighted, got 'mean'$"):
        EVERY[name].compute(data, average="mean")


@every_statistic
def test_any_finite_rows_give_a_finite_value_and_finite_influences_or_no_data(name: str) -> None:
    """With scores at both ends of the floats, one class only, ties, a single row; a warning would be an error here."""

    @EXAMPLES
    @given(outcomes() | binary(ANY_FLOAT) | several(ANY_FLOAT) | several(PROBABILITY))
    def holds(data: Any) -> None:
        try:
            value = EVERY[name].compute(data)
        except NoData:
            return
        assert math.isfinite(value)
        assert EVERY[name].low <= value <= EVERY[name].high
        if name in WITH_INFLUENCE:
            influences = influence(name, data, value)
            assert influences.shape == (len(data),)
            assert influences.dtype == np.float64
            assert np.isfinite(influences).all()
            assert float(influences.mean()) == pytest.approx(0, abs=1e-9 * max(1.0, float(np.abs(influences).max())))

    holds()


@pytest.mark.parametrize("name", AVERAGED)
@pytest.mark.parametrize("average", AVERAGES)
def test_averages_have_finite_influences_of_mean_zero(name: str, average: str) -> None:
    @EXAMPLES
    @given(outcomes())
    def holds(data: Any) -> None:
        try:
            value = EVERY[name].compute(data, average=average)
        except NoData:
            return
        influences = influence(name, data, value, average=average)
        assert np.isfinite(influences).all()
        assert float(influences.mean()) == pytest.approx(0, abs=1e-12 * len(data))

    holds()


def test_constant_predictions() -> None:
    """Nothing is known of the precision; the correlation is 0, and a score that is always the same is a coin's."""
    data = rows_of([1, 0, 0, 0], [0, 0, 0, 0], [0.25] * 4)
    values = {name: EVERY[name].compute(data) for name in EVERY if name != "precision"}
    entropy = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    assert values == pytest.approx(
        {
            "accuracy": 0.75, "balanced_accuracy": 0.5, "recall": 0, "specificity": 1, "f1": 0, "mcc": 0,
            "roc_auc": 0.5, "pr_auc": 0.25, "log_loss": entropy, "brier": 0.1875, "ece": 0,
        }
    )  # fmt: skip
    assert not influence("mcc", data, 0.0).any()


@every_statistic
def test_perfect_predictions_score_best_and_no_row_has_an_influence(name: str) -> None:
    two = rows_of([1, 0, 0, 1], [1, 0, 0, 1], [1, 0, 0, 1])
    many = many_of([0, 1, 2, 3], [0, 1, 2, 3], np.eye(4).tolist())
    for data in (two, many):
        best = 0.0 if EVERY[name].worse is Direction.HIGHER_IS_WORSE else 1.0
        value = EVERY[name].compute(data)
        assert value == pytest.approx(best, abs=3e-16)
        if name in WITH_INFLUENCE:
            assert influence(name, data, value).tolist() == pytest.approx([0] * len(data), abs=1e-15)


def test_a_wrong_row_of_which_the_model_was_certain_costs_36_nats() -> None:
    value = EVERY["log_loss"].compute(rows_of([1], [0], [0.0]))
    assert value == pytest.approx(36.0437, abs=1e-4)
    assert value == EVERY["log_loss"].compute(many_of([1], [0], [[1.0, 0.0, 0.0, 0.0]]))


@pytest.mark.parametrize("name", OF_PROBABILITIES)
def test_what_single_precision_puts_beyond_1_is_still_a_probability(name: str) -> None:
    beyond, exact = rows_of([1, 0], [1, 0], [1 + 1.2e-7, -6e-8]), rows_of([1, 0], [1, 0], [1, 0])
    assert EVERY[name].compute(beyond) == EVERY[name].compute(exact)


@every_statistic
def test_rows_in_another_order_score_the_same_and_inputs_stay_untouched(name: str) -> None:
    """Also in order of their score, where nothing is sorted."""

    @EXAMPLES
    @given(outcomes(), some.randoms(use_true_random=False))
    def holds(data: Any, random: Any) -> None:
        if not defined(name, data):
            return
        arrays = [data.label, data.predicted, data.score if isinstance(data, BinaryOutcomes) else data.scores]
        before = [array.copy() for array in arrays]
        for array in arrays:
            array.flags.writeable = False
        order = np.array(random.sample(range(len(data)), len(data)))
        others = [(order, data.take(order))]
        if isinstance(data, BinaryOutcomes) and data.order is not None:
            others.append((data.order, replace(data.take(data.order), rising=True)))
        value = EVERY[name].compute(data)
        for places, other in others:
            assert EVERY[name].compute(other) == pytest.approx(value, rel=1e-12, abs=1e-12)
            if name in WITH_INFLUENCE:
                influences = influence(name, data, value)[places]
                np.testing.assert_allclose(influence(name, other, value), influences, rtol=1e-9, atol=1e-9)
        assert all(np.array_equal(old, new) for old, new in zip(before, arrays, strict=True))

    holds()


# --- influences -------------------------------------------------------------------------------------------------------


def influence(name: str, data: Any, value: float, **parameters: Any) -> Any:
    of = EVERY[name].influence
    assert of is not None
    return of(data, value, **parameters)


def two_classes(rows: int, *, seed: Any) -> BinaryOutcomes:
    """A model whose scores are of three decimals, too sure of itself, and of use."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-0.6, 1.2, size=rows)
    label = rng.random(rows) < 1 / (1 + np.exp(-logit))
    score = np.round(1 / (1 + np.exp(-1.3 * logit - rng.normal(0.1, 0.4, size=rows))), 3)
    return BinaryOutcomes(label, decided(score, 0.45), score)


def four_classes(rows: int, *, seed: Any) -> ClassOutcomes:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, 4)) * 1.5 + np.array([0.5, 0.2, 0.0, -0.4])
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    label = (rng.random((rows, 1)) > np.cumsum(true, axis=1)).sum(axis=1)
    stated = np.exp(1.2 * logits + rng.normal(0, 0.3, size=logits.shape))
    scores = np.round(stated / stated.sum(axis=1, keepdims=True), 3)
    scores[:, 0] += 1 - scores.sum(axis=1)
    return ClassOutcomes(label, scores.argmax(axis=1), CLASSES, np.clip(scores, 0, 1))


@cache
def samples(sample: Any, number: int, rows: int) -> list[Any]:
    return [sample(rows, seed=(8, seed)) for seed in range(number)]


WITH_PARAMETERS = [
    *((name, {}) for name in WITH_INFLUENCE),
    *((name, {"average": average}) for name in AVERAGED for average in AVERAGES),
    *((name, {"per_class": 0}) for name in AVERAGED),
]
influences_of = pytest.mark.parametrize(
    ("name", "parameters"), WITH_PARAMETERS, ids=lambda part: part if isinstance(part, str) else str(*part.values())
)
SAMPLES = pytest.mark.parametrize("sample", [two_classes, four_classes])


@pytest.mark.parametrize("name", WITH_INFLUENCE)
@SAMPLES
def test_influences_are_the_derivative_of_scikit_learns_by_a_rows_weight(name: str, sample: Any) -> None:
    data = sample(150, seed=3)
    influences = influence(name, data, EVERY[name].compute(data))
    step = 1e-4
    for row in range(0, len(data), 4):
        weight = np.ones(len(data))
        weight[row] = 1 + step
        more = opinion(name, data, weight)
        weight[row] = 1 - step
        slope = (more - opinion(name, data, weight)) / (2 * step)
        assert influences[row] == pytest.approx(slope * len(data), rel=1e-5, abs=1e-6)


def with_gaps(rows: int, *, seed: Any) -> ClassOutcomes:
    """Of one class no row is labelled, and of another none predicted."""
    data = four_classes(rows, seed=seed)
    return replace(data, label=np.where(data.label == 1, 3, data.label), predicted=np.minimum(data.predicted, 2))


@influences_of
@pytest.mark.parametrize("sample", [two_classes, four_classes, with_gaps])
def test_influences_are_what_one_more_row_of_the_kind_does(name: str, parameters: dict[str, Any], sample: Any) -> None:
    data = sample(3000, seed=5)
    value = EVERY[name].compute(data, **parameters)
    influences = influence(name, data, value, **parameters)
    scale = float(influences.std())
    for row in range(0, len(data), 300):
        moved = EVERY[name].compute(data.take(np.append(np.arange(len(data)), row)), **parameters) - value
        assert moved * (len(data) + 1) == pytest.approx(influences[row], rel=0.02, abs=0.01 * scale)


@influences_of
@SAMPLES
def test_influences_tell_the_standard_error(name: str, parameters: dict[str, Any], sample: Any) -> None:
    """Over 1000 samples of 500 rows."""
    rows, values, variances = 500, [], []
    for data in samples(sample, 1000, rows):
        values.append(EVERY[name].compute(data, **parameters))
        influences = influence(name, data, values[-1], **parameters)
        variances.append(float(np.mean(influences**2)) / rows)
    assert math.sqrt(np.mean(variances)) == pytest.approx(np.std(values), rel=0.08)


@EXAMPLES
@given(binary())
def test_influences_on_the_area_are_delongs_components(data: BinaryOutcomes) -> None:
    """From all pairs, as the definition has it, and the variance as Hanley and McNeil's quantities give it."""
    assume(labels_of(data) == 2)
    assert data.score is not None
    positive, negative = data.score[data.label], data.score[~data.label]
    pairs = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    area = EVERY["roc_auc"].compute(data)
    assert area == pytest.approx(pairs.mean(), rel=1e-12)
    influences = influence("roc_auc", data, area)
    share = len(positive) / len(data)
    of_positives, of_negatives = pairs.mean(axis=1) - area, pairs.mean(axis=0) - area
    np.testing.assert_allclose(influences[data.label], of_positives / share, rtol=0, atol=1e-9)
    np.testing.assert_allclose(influences[~data.label], of_negatives / (1 - share), rtol=0, atol=1e-9)
    variance = of_positives.var() / len(positive) + of_negatives.var() / len(negative)
    assert np.mean(influences**2) / len(data) == pytest.approx(variance, rel=1e-9, abs=1e-15)


# --- proportions ------------------------------------------------------------------------------------------------------

PROPORTIONS: list[tuple[str, dict[str, Any]]] = [
    ("accuracy", {}),
    *((name, {"per_class": 1}) for name in ["precision", "recall", "specificity"]),
    *((name, {"average": "micro"}) for name in ["precision", "recall"]),
    ("recall", {"average": "weighted"}),
]


@pytest.mark.parametrize(("name", "parameters"), PROPORTIONS)
def test_a_proportion_tells_of_how_many_rows_it_is(name: str, parameters: dict[str, Any]) -> None:
    """So that v (1 − v) / trials is the variance that the influences give."""
    trials = EVERY[name].trials
    assert trials is not None

    @EXAMPLES
    @given(outcomes())
    def holds(data: Any) -> None:
        try:
            value = EVERY[name].compute(data, **parameters)
        except NoData:
            with pytest.raises(NoData):
                trials(data, **parameters)
            return
        number = trials(data, **parameters)
        assert type(number) is float
        assert number == round(number) > 0
        assert value * number == pytest.approx(round(value * number), abs=1e-9)
        variance = float(np.mean(influence(name, data, value, **parameters) ** 2)) / len(data)
        assert variance == pytest.approx(value * (1 - value) / number, rel=1e-9, abs=1e-12)

    if name != "accuracy":
        holds()
    else:
        assert trials(two_classes(70, seed=1)) == 70.0
        holds()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        *((name, {}) for name in ["precision", "recall", "specificity"]),
        ("precision", {"average": "weighted"}),
        ("specificity", {"average": "micro"}),
        ("specificity", {"average": "weighted"}),
    ],
)
def test_an_average_that_is_no_proportion_of_rows_has_no_trials(name: str, parameters: dict[str, Any]) -> None:
    trials = EVERY[name].trials
    assert trials is not None
    assert trials(four_classes(300, seed=1), **parameters) == 0.0


# --- calibration ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [200, 2000])
def test_ece_of_a_calibrated_model_is_what_chance_gives(rows: int) -> None:
    """As the docstring says: why windows of unlike size are not to be compared."""
    rng = np.random.default_rng(4)
    values, scores = [], []
    for _ in range(300):
        score = rng.beta(2, 3, size=rows)
        data = BinaryOutcomes(rng.random(rows) < score, score >= 0.5, score)
        values.append(EVERY["ece"].compute(data))
        scores.append(EVERY["brier"].compute(data))
    expected = math.sqrt(2 * 10 * np.mean(scores) / (math.pi * rows))
    assert 0.9 * expected < np.mean(values) < 1.02 * expected


def test_ece_tells_how_far_off_all_probabilities_are() -> None:
    rng = np.random.default_rng(4)
    score = rng.uniform(0.2, 0.9, size=200_000)
    data = BinaryOutcomes(rng.random(len(score)) < score - 0.15, score >= 0.5, score)
    assert EVERY["ece"].compute(data) == pytest.approx(0.15, abs=0.005)


def test_ece_keeps_rows_of_one_score_together() -> None:
    """Half of the rows at 0.5 and right on average: however they are dealt to bins, nothing is off."""
    score = np.concatenate([np.full(50, 0.5), np.ones(50)])
    label = np.concatenate([np.arange(50) < 25, np.ones(50, dtype=bool)])
    assert EVERY["ece"].compute(BinaryOutcomes(label, label, score)) == 0.0


# --- decisions --------------------------------------------------------------------------------------------------------

RIGHT, MORE = (
    some.floats(-1e3, 1e3).map(lambda cost: round(cost, 2)),
    some.integers(1, 100_000).map(lambda cost: cost / 100),
)


@EXAMPLES
@given(some.tuples(RIGHT, RIGHT), some.tuples(MORE, MORE), some.floats(0, 1))
def test_from_the_threshold_on_deciding_for_the_positive_class_costs_less(
    right: tuple[float, float], more: tuple[float, float], probability: float
) -> None:
    (tn, tp), (fp, fn) = right, (right[0] + more[0], right[1] + more[1])
    threshold = threshold_of_costs([[tn, fp], [fn, tp]])
    assert 0 < threshold < 1
    positive = probability * tp + (1 - probability) * fp
    negative = probability * fn + (1 - probability) * tn
    if abs(positive - negative) > 1e-9:
        assert bool(decided(np.array([probability]), threshold)[0]) == (positive < negative)


def test_thresholds_of_costs_by_hand() -> None:
    assert threshold_of_costs([[0, 1], [1, 0]]) == 0.5
    assert threshold_of_costs([[0, 1], [9, 0]]) == pytest.approx(0.1)
    assert threshold_of_costs([[-10, 5], [20, -40]]) == pytest.approx(15 / 75)
    assert threshold_of_costs([[-1e308, 1.7e308], [1.7e308, -1e308]]) == 0.5


@pytest.mark.parametrize(
    ("costs", "reason"),
    [
        ([[0, 1]], r"^expected costs \[\[tn, fp\], \[fn, tp\]\]$"),
        ([[0, 1, 2], [3, 4, 5]], r"^expected costs \[\[tn, fp\], \[fn, tp\]\]$"),
        ([[0, math.nan], [1, 0]], "^expected costs that are finite$"),
        ([[0, math.inf], [1, 0]], "^expected costs that are finite$"),
        ([[0, 0], [1, 0]], "^expected a false positive to cost more than a true negative, got 0 and 0$"),
        ([[0, 2], [1, 1.5]], r"^expected a false negative to cost more than a true positive, got 1 and 1\.5$"),
    ],
)
def test_costs_that_leave_nothing_to_decide_are_refused(costs: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        threshold_of_costs(costs)


def test_a_row_on_the_threshold_is_positive() -> None:
    assert decided(np.array([0.3, 0.30001, 0.29999]), 0.3).tolist() == [True, True, False]


# --- what they say of themselves --------------------------------------------------------------------------------------


@every_statistic
def test_a_statistic_says_what_it_needs(name: str) -> None:
    statistic = EVERY[name]
    assert statistic.name == name
    assert statistic.family == "performance"
    assert statistic.applies_to == {"binary", "multiclass"}
    assert statistic.needs == ("classes" if name in OF_CLASSES else "scores")
    assert statistic.parameters == ({"average", "per_class"} if name in AVERAGED else frozenset())
    assert statistic.worse is (Direction.HIGHER_IS_WORSE if name in OF_PROBABILITIES else Direction.LOWER_IS_WORSE)
    assert statistic.relative is (name in {"log_loss", "brier"})
    assert statistic.default_material == (0.10 if statistic.relative else 0.02)
    assert (statistic.trials is None) is (name not in {"accuracy", "precision", "recall", "specificity"})
    assert (statistic.influence is None) is (name == "ece")
