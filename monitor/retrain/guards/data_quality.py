"""Not on data that are broken: what learns from them learns the fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import RootModel

from monitor.records import Finding, Verdict

if TYPE_CHECKING:
    from monitor.retrain._decide import GuardContext

DEFAULT = True
WATCHED: dict[str, frozenset[str] | None] = {
    "quality": None,
    "skew": frozenset({"schema"}),
}  # by check; None: every statistic


class Options(RootModel[bool]):
    """Whether a breach of data quality, or of the schema in the check `skew`, is a reason to refuse."""


def refuse(wanted: bool, context: GuardContext) -> str | None:  # noqa: FBT001 - a guard's value comes first
    """Why not now, None where there is no reason; a check that is not configured, or cannot tell, has nothing to say."""
    found = next(_breaches(context), None) if wanted else None
    if found is None:
        return None
    of = f" of {found.feature}" if found.feature is not None else ""
    value, threshold = f"{found.value or 0.0:.4g}", f"{found.threshold or 0.0:.4g}"
    return f"the check {found.check} is breached: {found.statistic}{of} is {value}, expected at most {threshold}"


def _breaches(context: GuardContext) -> Iterator[Finding]:
    """Those in the newest results, about the version that a retraining would replace, or about all of them."""
    for check, statistics in WATCHED.items():
        result = context.newest(check)
        for finding in result.findings if result is not None else ():
            about = finding.version in (None, context.version) or context.version is None
            told = statistics is None or finding.statistic in statistics
            if about and told and finding.verdict is Verdict.BREACHED and not finding.superseded:
                yield finding
