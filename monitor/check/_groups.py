"""Rows told apart by protected attributes: their groups in counts, and what was left out of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.check._coverage import GAP, LEVEL
from monitor.check._legend import Legend
from monitor.check._rows import rows_for
from monitor.check._segments import combined
from monitor.config import Model
from monitor.records import Coded, EventBatch, FloatArray, IntArray, LabelledBatch, NoData, ObjectArray, Role, Statistic
from monitor.source._outcomes import CLASS_SCORE, GROUP
from monitor.source._values import coded
from monitor.stats import BinaryOutcomes, NumericOutcomes
from monitor.stats._gaps import Shares
from monitor.stats._groups import GroupCounts, group_binary, group_numeric, group_predictions
from monitor.stats._homogeneity import same_share

MOST_GROUPS = 50  # so many groups of an attribute are compared, those with the most rows
MISSING = 0.01  # a larger share of rows that cannot be told apart is told

Attribute = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Countable:
    """Rows of one version that a metric can be computed on.

    Attributes:
        columns: what they are told apart by, each of shape (n,).
        rows: n.
        count: makes the counts of groups, from the place of each row's group (-1: none) and the groups' names.
        cautions: what has to be known of them.
    """

    columns: Mapping[str, FloatArray | ObjectArray | Coded]
    rows: int
    count: Callable[[IntArray, Sequence[str]], Mapping[str, GroupCounts]]
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grouped:
    """The groups of one attribute that are large enough, as they are called; and what has to be known of them."""

    groups: Mapping[str, GroupCounts]
    cautions: tuple[str, ...]

    @property
    def rows(self) -> int:
        """In all of these groups."""
        return sum(counts.rows for counts in self.groups.values())


def predicted_rows(model: Model, batch: EventBatch | None, statistic: Statistic, total: int) -> Countable:
    """The predictions of a binary model, with a label or without.

    Args:
        model: whose they are.
        batch: of one version.
        statistic: the metric.
        total: the version's predictions in the window, of which these may be a sample.

    Raises:
        NoData: there are none, or they are of neither of the model's classes.
    """
    said = None if batch is None else batch.features.get(Role.PREDICTION.value)
    if batch is None or said is None or not len(batch):
        raise NoData("no predictions are kept")
    spelled = np.asarray(said.spelled() if isinstance(said, Coded) else said, dtype=object)
    # Each stands for its own label: it must be of the same classes.
    itself = LabelledBatch(batch.times, np.full(len(batch), batch.version, dtype=object), spelled, spelled, batch.times)
    told = rows_for(model, itself, statistic, None)
    assert isinstance(told.outcomes, BinaryOutcomes)
    predicted = told.outcomes.predicted
    columns = {name: values[told.rows] for name, values in batch.features.items() if name.startswith(GROUP)}
    sampled = (f"{len(batch)} of {total} predictions were looked at",) if len(batch) < total else ()
    return Countable(columns, len(predicted), lambda codes, names: group_predictions(predicted, codes, names), sampled)


def labelled_rows(model: Model, batch: LabelledBatch | None, statistic: Statistic, *, scored: bool) -> Countable:
    """The rows of a window whose label has come.

    Args:
        model: a binary one, or a regression.
        batch: its labelled rows.
        statistic: the metric.
        scored: only those with a score.

    Raises:
        NoData: there are none, or they are of neither of a binary model's classes.
    """
    if batch is None or not len(batch):
        raise NoData("no label has come")
    cautions: tuple[str, ...] = ()
    if scored:
        batch, cautions = _with_score(model, batch)
    told = rows_for(model, batch, statistic, None)
    outcomes = told.outcomes

    def count(codes: IntArray, names: Sequence[str]) -> Mapping[str, GroupCounts]:
        if isinstance(outcomes, NumericOutcomes):
            return group_numeric(outcomes, codes, names)
        assert isinstance(outcomes, BinaryOutcomes)
        return group_binary(outcomes, codes, names)

    columns = {name: values[told.rows] for name, values in batch.columns.items() if name.startswith(GROUP)}
    return Countable(columns, len(outcomes), count, cautions)


def _with_score(model: Model, batch: LabelledBatch) -> tuple[LabelledBatch, tuple[str, ...]]:
    score = batch.columns.get(f"{CLASS_SCORE}{model.positive}")
    there = np.zeros(len(batch), dtype=bool) if score is None else np.isfinite(np.asarray(score, dtype=np.float64))
    if not there.any():
        raise NoData(f"no scores ({model.columns.score}) beside the predictions")
    without = int((~there).sum())
    told = without > MISSING * len(batch)
    return batch.take(there), ((f"{without} of {len(batch)} labelled rows have no score",) if told else ())


def grouped(found: Countable, attribute: Attribute, min_group: int, legend: Legend) -> Grouped:
    """The groups of one attribute, or of several whose values are combined.

    Args:
        found: rows.
        attribute: the columns they are told apart by.
        min_group: a group of fewer rows is left out.
        legend: what groups are called.

    Raises:
        NoData: fewer than two groups are large enough.
    """
    codes, names = _told_apart(found, attribute)
    sizes = np.bincount(codes[codes >= 0], minlength=len(names))
    missing = found.rows - int(sizes.sum())
    large = np.flatnonzero(sizes >= min_group)
    small = np.flatnonzero((sizes > 0) & (sizes < min_group))
    if len(large) < 2:
        alone = f"no row has {' and '.join(attribute)}" if missing == found.rows else f"of {len(large) + len(small)}"
        raise NoData(f"expected two groups of at least {min_group} rows, got {len(large)}: {alone}")
    kept = np.sort(large[np.argsort(-sizes[large], kind="stable")][:MOST_GROUPS])
    cautions = list(found.cautions)
    if missing > MISSING * found.rows:
        cautions.append(f"{missing} of {found.rows} rows have no {' or no '.join(attribute)}")
    for out, why in (
        (small, f"of fewer than {min_group} rows"),
        (np.setdiff1d(large, kept), f"beyond the largest {MOST_GROUPS}"),
    ):
        if len(out):
            cautions.append(f"left out {_number(len(out), 'group')} {why} ({_number(int(sizes[out].sum()), 'row')})")
    places = np.full(len(names) + 1, -1, dtype=np.int64)
    places[kept] = np.arange(len(kept))
    called = legend.shown(",".join(attribute), [names[place] for place in kept])
    return Grouped(found.count(places[codes], called), tuple(cautions))


def _told_apart(found: Countable, attribute: Attribute) -> tuple[IntArray, list[str]]:
    """The place of every row's group, -1 where a value is missing, and the groups' names."""
    if len(attribute) > 1:
        names, codes = combined(found.columns, attribute, found.rows)
        return codes, names
    values = found.columns.get(f"{GROUP}{attribute[0]}")
    return (np.full(found.rows, -1, dtype=np.int64), []) if values is None else coded(values)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def uneven_coverage(predicted: Grouped, labelled: Grouped) -> tuple[str, ...]:
    """What is to be said where labels have come for some groups more than for others: those may be the easy cases."""
    names = tuple(name for name in labelled.groups if name in predicted.groups)
    part = np.array([labelled.groups[name].rows for name in names], dtype=np.float64)
    whole = np.array([predicted.groups[name].rows for name in names], dtype=np.float64)
    if len(names) < 2 or (part > whole).any():  # of a sample, or of rows that came meanwhile, nothing is known
        return ()
    coverage = Shares(names, part, whole)
    if coverage.gap < GAP or same_share(coverage) >= LEVEL:
        return ()
    most, least = int(coverage.values.argmax()), int(coverage.values.argmin())
    share = coverage.values
    return (f"labels cover {share[most]:.0%} of {names[most]} and {share[least]:.0%} of {names[least]}",)
