"""Profiles: mergeable summaries of columns over a stretch of time, on bins that the reference alone has drawn."""

from monitor.profile.bins import Bins, CategoricalBins, NumericBins, draw_bins
from monitor.profile.column import ColumnProfile, Profile, comparable, merge, profile_batch, profile_column
from monitor.profile.reference import Reference, build_reference

__all__ = [
    "Bins",
    "CategoricalBins",
    "ColumnProfile",
    "NumericBins",
    "Profile",
    "Reference",
    "build_reference",
    "comparable",
    "draw_bins",
    "merge",
    "profile_batch",
    "profile_column",
]
