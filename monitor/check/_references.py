"""The reference of each version of a model, and what checks make of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor import registry
from monitor.check._calibrations import Calibrations
from monitor.profile import Reference
from monitor.records import NoData, Window
from monitor.source import SourceError
from monitor.source._reference import span_of

if TYPE_CHECKING:
    from monitor.check._context import Context


class References:
    """The reference of each version, looked up once; one that cannot be had is remembered with its reason.

    Args:
        look_up: finds the reference of a version.
        calibrations: made so far.
        directory: where relative paths start.
        prepare: what a check makes of a reference's rows, by version, check and window, where that is not done right here.
        prepared: what has been made of them so far.
    """

    def __init__(
        self,
        look_up: Callable[[str], Reference | None],
        calibrations: Calibrations | None = None,
        directory: Path = Path(),
        prepare: Callable[[str, str, Window], Any] | None = None,
        prepared: dict[tuple[str, str, float], Any] | None = None,
    ) -> None:
        self._look_up, self._prepare = look_up, prepare
        self._prepared = {} if prepared is None else prepared
        self.calibrations = calibrations or Calibrations()
        self.directory = directory
        self._found: dict[str, Reference | None] = {}
        self.failures: dict[str, str] = {}
        self.missing: dict[str, str] = {}

    def __call__(self, version: str) -> Reference | None:
        if version not in self._found:
            self._found[version] = None
            try:
                self._found[version] = self._look_up(version)
            except SourceError as error:
                self.failures[version] = str(error)
            except NoData as reason:
                self.missing[version] = str(reason)
        return self._found[version]

    def prepared(self, context: Context, check: str, version: str) -> Any:
        """What a check makes of the rows of a version's reference, once for each reference: its module's `prepare`.

        Raises:
            SourceError: the rows cannot be read.
            NoData: there is no reference yet, or no row of it.
        """
        if self(version) is None:
            # Nothing is made of a reference that is still to come: that would be kept when it is there.
            if version in self.failures:
                raise SourceError(self.failures[version])
            raise NoData(self.missing.get(version, "no reference is configured"))
        span = span_of(context.model, context.window)
        key = version, check, span.start if span else 0.0
        if key not in self._prepared:
            # Where a stretch moves along, none of an earlier window is asked for again.
            for old in [old for old in self._prepared if old[:2] == key[:2]]:
                del self._prepared[old]
            if self._prepare is not None:
                self._prepared[key] = self._prepare(version, check, context.window)
            else:
                options = context.model.checks[check].options
                self._prepared[key] = registry.load("check", check).prepare(context, options, version)
        return self._prepared[key]

    @property
    def found(self) -> Mapping[str, Reference]:
        """Those that have been looked up and are there."""
        return {version: reference for version, reference in self._found.items() if reference is not None}
