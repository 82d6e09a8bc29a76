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
        sampled: the share of the rows that the sizes of segments are known from.
    """

    rows: int
    labelled: int
    segments: Mapping[tuple[str, ...], Mapping[str, tuple[int, int]]]
    sampled: float = 1.0

    def gap(self, columns: tuple[str, ...]) -> Gap | None:
        """How differently the segments of one kind are covered; None where fewer than two have rows enough."""
        fewest = FEWEST_ROWS / self.sampled
        held = {name: pair for name, pair in self.segments.get(columns, {}).items() if pair[1] >= fewest}
        if len(held) < 2:
            return None
        names, pairs = tuple(held), np.array(list(held.values()), dtype=np.float64)
        seen = pairs[:, 1] * self.sampled  # what is known of their size, in rows
        covered = np.minimum(pairs[:, 0] / pairs[:, 1], 1.0)
        if self.sampled < 1:
            # A size from a sample may be off by chance: shares are drawn together by three standard errors.
            usual, error = float(np.minimum(pairs[:, 0].sum() / pairs[:, 1].sum(), 1.0)), 3 / np.sqrt(seen)
            covered = usual + np.sign(covered - usual) * np.maximum(np.abs(covered - usual) - covered * error, 0.0)
        shares = Shares(names, covered * seen, seen)
        low, high = int(covered.argmin()), int(covered.argmax())
        p_value = same_share(shares) if 0 < shares.part.sum() < seen.sum() else 1.0
        return Gap(label_selection(shares), p_value, names[low], names[high], float(covered[low]), float(covered[high]))

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
        segments, share = {}, 1.0
        if sample is not None and len(sample):
            share = min(len(sample) / max(profile.rows, 1), 1.0)
        for columns in kinds:
            with_label = _counts(*combined(labelled.columns, columns, len(labelled))) if labelled is not None else {}
            everyone = _counts(*combined(sample.features, columns, len(sample))) if sample is not None else {}
            segments[columns] = {
                name: (with_label.get(name, 0), round(rows / share)) for name, rows in everyone.items()
            }
        found[version] = Coverage(profile.rows, 0 if labelled is None else len(labelled), segments, share)
    return found


def _counts(names: list[str], codes: IntArray) -> dict[str, int]:
    return dict(zip(names, np.bincount(codes[codes >= 0], minlength=len(names)).tolist(), strict=True))
