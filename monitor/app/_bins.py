"""Rows counted by bin as they arrive, so that Prometheus can compute PSI over any range and over all replicas."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.config import Model
from monitor.metrics import Metrics
from monitor.profile import Bins, NumericBins, Profile, Reference, comparable
from monitor.records import FloatArray, Role, Sample, fingerprint

TOTAL, SHARE = "anchorwatch_feature_bin_total", "anchorwatch_feature_bin_reference_ratio"
MISSING, UNSEEN = "missing", "unseen"
VERSIONS = 5  # of so many versions rows are counted, the newest ones
NAME_CHARACTERS = 80  # of a category; no label is a free text
HELD_SECONDS = 60.0  # so long series stand at 0 before they count, so that a scrape, and a rule, sees where they began
IDLE_SECONDS = 2 * 86400.0  # a version without a row for longer than any recorded range is let go


def bin_names(bins: Bins) -> list[str]:
    """The names of the groups that PSI is computed on, then of rows missing and unseen; no two are alike.

    Intervals are numbered, so that they can be put in order.

    >>> bin_names(NumericBins(np.array([0.5, 2.0]), np.array([0, 1, 2])))
    ['01 (-inf, 0.5]', '02 (0.5, 2]', '03 (2, inf]', 'missing', 'unseen']
    """
    if isinstance(bins, NumericBins):
        return [*(f"{place:02} {name}" for place, name in enumerate(bins.group_names(), 1)), MISSING, UNSEEN]
    taken = {MISSING, UNSEEN}
    found = []
    for whole in bins.group_names():
        # Half of a surrogate pair has no UTF-8, and is spelled otherwise on the page: that, too, must be unlike the others.
        name = plain = whole.encode("utf-8", "backslashreplace").decode()[:NAME_CHARACTERS]
        more = 1
        while name in taken:
            more += 1
            name = f"{plain} ({more})"
        taken.add(name)
        found.append(name)
    return [*found, MISSING, UNSEEN]


def content_of(reference: Reference) -> str:
    """What the bins and counts of a reference's features are known by: the same on every replica, wherever its copy is."""
    parts: list[str] = []
    for name in sorted(_features(reference)):
        bins = reference.bins[name]
        drawn = bins.edges.tolist() if isinstance(bins, NumericBins) else bins.categories
        parts += [
            name,
            repr(drawn),
            repr(bins.groups.tolist()),
            repr(comparable(reference.profiles[name], bins).tolist()),
        ]
    return fingerprint(*parts)


@dataclass(slots=True)
class _Shown:
    """The series of one version.

    Attributes:
        reference: that they are about.
        content: what it is known by on the page.
        keys: by feature, the labels of each bin, in the order of the family.
        since: when they were made.
        newest: when a row was last counted.
    """

    reference: Reference
    content: str
    keys: dict[str, list[tuple[str, ...]]]
    since: float
    newest: float


class BinCounters:
    """The counters of one model's rows by bin. They outlive a configuration, and begin at 0 with the process.

    A series is there before it counts: the rows that come meanwhile wait in the store, and are counted then. What is on the
    page has been taken off the store, in one transaction with its mark there, so that no row is ever counted twice.
    """

    def __init__(self, metrics: Metrics, app: str, model: str, *, now: Callable[[], float]) -> None:
        self._metrics, self._labels, self._now = metrics, {"app": app, "model": model}, now
        self._limit = 0
        self._importance: Mapping[str, float] = {}
        self._shown: dict[str, _Shown] = {}
        self._idle: dict[str, str] = {}
        self._left = False
        self.features: tuple[str, ...] = ()

    def configure(self, model: Model, limit: int) -> None:
        """Take in how many features are counted, and which of them come first; what is no longer counted goes."""
        said = {name: feature.importance or 0.0 for name, feature in (model.features or {}).items()}
        if (self._limit, self._importance) != (limit, said):
            self._limit, self._importance = limit, said
            for version, shown in list(self._shown.items()):
                wanted = self._keys(version, shown.reference, shown.content)
                self._drop(version, [key for name in shown.keys.keys() - wanted for key in shown.keys[name]])
                self._show(version, shown.reference, shown.content, since=shown.since)

    def clear(self) -> None:
        """Count nothing any more."""
        self._metrics.withdraw([TOTAL, SHARE], **self._labels)
        self._shown, self._idle, self.features = {}, {}, ()

    def leave(self) -> None:
        """Another daemon counts from now on. What was counted here stays on the page, and begins anew should it come back."""
        self._left = True

    # --- told by what feeds the profiles --------------------------------------------------------------------------

    def know(self, versions: Sequence[str], found: Mapping[str, Reference]) -> None:
        """Have series of the newest versions with a reference, and of no others."""
        now = self._now()
        if self._left:
            self.clear()
            self._left = False
        self.features = tuple(dict.fromkeys(name for reference in found.values() for name in _features(reference)))
        newest = [version for version in versions if version in found or version in self._shown][:VERSIONS]
        for version, shown in list(self._shown.items()):
            if version not in newest or now - shown.newest > IDLE_SECONDS:
                self._withdraw(version)
                self._idle |= {version: shown.reference.fingerprint} if version in newest else {}
        self._idle = {version: known for version, known in self._idle.items() if version in newest}
        for version in newest:
            reference = found.get(version)
            if reference is None or self._idle.get(version) == reference.fingerprint:
                continue
            if version not in self._shown or self._shown[version].reference.fingerprint != reference.fingerprint:
                self._renew(version, reference, now)

    def waits(self, version: str) -> bool:
        """Whether a version's series have only just been made."""
        shown = self._shown.get(version)
        # Not for ever where the clock was set back.
        return shown is not None and 0 <= self._now() - shown.since < HELD_SECONDS

    @property
    def waiting(self) -> frozenset[str]:
        """The versions whose rows wait."""
        return frozenset(version for version in self._shown if self.waits(version))

    def ready(self, version: str, reference: Reference) -> bool:
        """Whether rows of a version can be counted; one that was let go is shown again first."""
        if self._idle.pop(version, None) is not None:
            self._renew(version, reference, self._now())
        return not self.waits(version)

    def add(self, version: str, reference: Reference, profiles: Collection[Profile]) -> None:
        """Count rows; those of a version that is not shown are counted nowhere."""
        shown = self._shown.get(version)
        if shown is None:
            return
        shown.newest = self._now()
        amounts: dict[tuple[str, ...], float] = {}
        for name, keys in shown.keys.items():
            rows = sum(comparable(profile.columns[name], reference.bins[name]) for profile in profiles)
            amounts |= dict(zip(keys, np.asarray(rows, dtype=np.float64).tolist(), strict=True))
        self._metrics.add_many(TOTAL, amounts)

    # --- series ---------------------------------------------------------------------------------------------------

    def _renew(self, version: str, reference: Reference, now: float) -> None:
        """Show a version on a reference; one of the same content goes on counting."""
        content, shown = content_of(reference), self._shown.get(version)
        if shown is not None and shown.content == content:
            shown.reference = reference
            return
        self._withdraw(version)
        self._show(version, reference, content, since=now)

    def _show(self, version: str, reference: Reference, content: str, *, since: float) -> None:
        keys = self._keys(version, reference, content)
        before = self._shown.get(version)
        # Those that join the others have not been seen at 0 yet.
        since = since if before is None or keys.keys() <= before.keys.keys() else self._now()
        self._shown[version] = _Shown(reference, content, keys, since, self._now() if before is None else before.newest)
        every = [key for held in keys.values() for key in held]
        self._metrics.add_many(TOTAL, dict.fromkeys(every, 0.0))
        names = ("app", "model", "version", "feature", "reference", "bin")
        samples = [
            Sample(SHARE, dict(zip(names, key, strict=True)), share)
            for name, held in keys.items()
            for key, share in zip(held, _shares(reference, name).tolist(), strict=True)
        ]
        self._metrics.swap([SHARE], samples, **self._labels, version=version)

    def _keys(self, version: str, reference: Reference, content: str) -> dict[str, list[tuple[str, ...]]]:
        names = sorted(_features(reference), key=lambda name: -self._importance.get(name, 0.0))[: self._limit]
        about = (self._labels["app"], self._labels["model"], version)
        return {name: [(*about, name, content, bin_) for bin_ in bin_names(reference.bins[name])] for name in names}

    def _withdraw(self, version: str) -> None:
        if self._shown.pop(version, None) is not None:
            self._metrics.withdraw([TOTAL, SHARE], **self._labels, version=version)

    def _drop(self, version: str, keys: Sequence[tuple[str, ...]]) -> None:
        for feature in {key[3] for key in keys}:
            self._metrics.withdraw([TOTAL, SHARE], **self._labels, version=version, feature=feature)


def _features(reference: Reference) -> list[str]:
    return [c.name for c in reference.columns if c.role is Role.FEATURE and c.name in reference.bins]


def _shares(reference: Reference, name: str) -> FloatArray:
    rows = comparable(reference.profiles[name], reference.bins[name]).astype(np.float64)
    shares: FloatArray = rows / rows.sum()
    return shares
