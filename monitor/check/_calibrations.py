"""The calibrations of the references in use, each made once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from monitor.calibrate import Calibration, calibrate
from monitor.profile import Reference
from monitor.records import Statistic

KEPT = 50


class Calibrations:
    """Calibrates references when they are first asked for.

    Args:
        with_stretches: gives a reference its stretches, where it came without.
    """

    def __init__(self, with_stretches: Callable[[Reference], Reference] = lambda reference: reference) -> None:
        self._with_stretches = with_stretches
        self._made: dict[tuple[object, ...], Calibration] = {}
        self._making = threading.Lock()

    def __call__(
        self, reference: Reference, statistics: Mapping[str, Sequence[Statistic]], window_seconds: float
    ) -> Calibration:
        """The calibration of a reference for these statistics (by column) and windows of this length."""
        wanted = tuple(sorted((name, statistic.name) for name, found in statistics.items() for statistic in found))
        key = (reference.fingerprint, wanted, window_seconds)
        with self._making:
            if key not in self._made:
                whole = reference if reference.stretches is not None else self._with_stretches(reference)
                self._made[key] = calibrate(whole, statistics, window_seconds=window_seconds)
                for old in list(self._made)[:-KEPT]:
                    del self._made[old]
            return self._made[key]
