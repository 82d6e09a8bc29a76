"""What a check is given: one model, one window, and the ways to its data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from monitor.config import Model
from monitor.profile import Profile, Reference
from monitor.records import Finding, NoData, Verdict, Window
from monitor.source import EventSource, SourceError
from monitor.windows import bucket_seconds


class References:
    """The reference of each version, looked up once; one that cannot be had is remembered with its reason."""

    def __init__(self, look_up: Callable[[str], Reference | None]) -> None:
        self._look_up = look_up
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


class Context:
    """One model's window. What several checks need is read once."""

    def __init__(
        self, app: str, model: Model, window: Window, source: EventSource, references: References, now: float
    ) -> None:
        self.app, self.model, self.window, self.now = app, model, window, now
        self.source, self.references = source, references

    @cached_property
    def profiles(self) -> Mapping[str, Profile]:
        """The window's profile by version."""
        return self.source.profiles(self.window, self.references)

    @cached_property
    def superseded(self) -> frozenset[str]:
        """Versions that another one has replaced: silent for a quarter of the window, or a bucket if that is longer."""
        newest = max((profile.last for profile in self.profiles.values()), default=0.0)
        silence = max(bucket_seconds(self.model.windows), (self.window.end - self.window.start) / 4)
        return frozenset(name for name, profile in self.profiles.items() if profile.last < newest - silence)

    def finding(self, check: str, statistic: str, verdict: Verdict, reason: str, **more: object) -> Finding:
        """A finding about this model and window."""
        version = more.get("version")
        return Finding(
            app=self.app,
            model=self.model.name,
            window=self.window,
            check=check,
            statistic=statistic,
            verdict=verdict,
            reason=reason,
            superseded=version in self.superseded,
            **more,  # type: ignore[arg-type]
        )

    def without_reference(self, check: str, statistic: str, version: str, rows: int) -> Finding:
        """The finding where there is nothing to compare with: an error if it should be there."""
        if version in self.references.failures:
            verdict, reason = Verdict.ERROR, self.references.failures[version]
        else:
            verdict, reason = Verdict.NO_DATA, self.references.missing.get(version, "no reference is configured")
        return self.finding(check, statistic, verdict, reason, version=version, rows=rows)
