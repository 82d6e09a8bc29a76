"""How much of a window has a label, and whether those rows are like the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.check._segments import combined
from monitor.records import IntArray
from monitor.source._outcomes import group_columns
from monitor.stats._gaps import Shares
from monitor.stats._homogeneity import same_share
from monitor.stats.label_selection import label_selection

if TYPE_CHECKING:
    from monitor.check._context import Context

SAMPLE = 20_000  # so many rows tell well enough how large segments are
FEWEST_ROWS = 30  # smaller segments are not compared
GAP = 0.2  # a difference in coverage from which on labelled rows are not taken to be like the others
LEVEL = 0.001


@dataclass(frozen=True, slots=True)
class Gap:
    """How differently the segments of one kind are covered: the least and the most covered one, and whether that is chance.

    Attributes:
        size: what `label_selection` says of it.
        p_value: how often segments that are covered alike would differ as much.
        low: the name of the segment that is covered least; `high` of the one that is covered most.
        lowest: its coverage; `highest` that of the other.
    """

    size: float
    p_value: float
    low: str
    high: str
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """One version's rows in a window.

    Attributes:
        rows: predictions.
        labelled: of these, with a label.
        segments: by kind of segment and name: labelled rows, and all rows (from a sample, where there are many).
    """

    rows: int
    labelled: int
    segments: Mapping[tuple[str, ...], Mapping[str, tuple[int, int]]]

    def gap(self, columns: tuple[str, ...]) -> Gap | None:
        """How differently the segments of one kind are covered; None where fewer than two have rows enough."""
        held = {name: pair for name, pair in self.segments.get(columns, {}).items() if pair[1] >= FEWEST_ROWS}
        if len(held) < 2:
            return None
        names, pairs = list(held), np.array(list(held.values()), dtype=np.float64)
        part = np.minimum(pairs[:, 0], pairs[:, 1])
        shares = Shares(tuple(names), part, pairs[:, 1])
        low, high = int(shares.values.argmin()), int(shares.values.argmax())
        p_value = same_share(shares) if 0 < part.sum() < pairs[:, 1].sum() else 1.0
        ends = names[low], names[high], float(shares.values[low]), float(shares.values[high])
        return Gap(label_selection(shares), p_value, *ends)

    def selection(self) -> str:
        """In words, which segments labels cover more than others; nothing where they cover all alike."""
        gaps = [found for columns in self.segments if (found := self.gap(columns)) is not None]
        telling = [gap for gap in gaps if gap.size >= GAP and gap.p_value < LEVEL]
        if not telling:
            return ""
        worst = max(telling, key=lambda gap: gap.size)
        return f"labels cover {worst.highest:.0%} of {worst.high} and {worst.lowest:.0%} of {worst.low}"


def coverage_of(context: Context) -> dict[str, Coverage]:
    """The coverage of a window's rows, by version."""
    kinds = context.model.segment_columns()
    wanted = group_columns(name for columns in kinds for name in columns)
    sampled = context.source.rows(context.window, wanted, limit=SAMPLE) if kinds else {}
    found = {}
    for version, profile in context.profiles.items():
        labelled, sample = context.labelled.get(version), sampled.get(version)
        segments = {}
        for columns in kinds:
            with_label = _counts(*combined(labelled.columns, columns, len(labelled))) if labelled is not None else {}
            everyone = _counts(*combined(sample.features, columns, len(sample))) if sample is not None else {}
            scale = max(profile.rows / len(sample), 1.0) if sample is not None and len(sample) else 1.0
            segments[columns] = {
                name: (with_label.get(name, 0), round(rows * scale)) for name, rows in everyone.items()
            }
        found[version] = Coverage(profile.rows, 0 if labelled is None else len(labelled), segments)
    return found


def _counts(names: list[str], codes: IntArray) -> dict[str, int]:
    return dict(zip(names, np.bincount(codes[codes >= 0], minlength=len(names)).tolist(), strict=True))
