"""Profiles: mergeable summaries of columns over a stretch of time, on bins that the reference alone has drawn."""

from monitor.profile.baseline import Baseline, baseline, expected
from monitor.profile.bins import Bins, CategoricalBins, NumericBins, draw_bins, same_bins
from monitor.profile.column import (
    ColumnProfile,
    Profile,
    comparable,
    group_counts,
    merge,
    profile_batch,
    profile_column,
)
from monitor.profile.histogram import clipped, histogram_pair
from monitor.profile.reference import Reference, build_reference, cutter_for, recounted
from monitor.profile.stretches import Cutter, Seasons, Stretches

__all__ = [
    "Baseline",
    "Bins",
    "CategoricalBins",
    "ColumnProfile",
    "Cutter",
    "NumericBins",
    "Profile",
    "Reference",
    "Seasons",
    "Stretches",
    "baseline",
    "build_reference",
    "clipped",
    "comparable",
    "cutter_for",
    "draw_bins",
    "expected",
    "group_counts",
    "histogram_pair",
    "merge",
    "profile_batch",
    "profile_column",
    "recounted",
    "same_bins",
]
