"""One at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import RootModel

if TYPE_CHECKING:
    from monitor.retrain._decide import GuardContext

DEFAULT = True


class Options(RootModel[bool]):
    """Whether a retraining waits for the one before to end."""


def refuse(wanted: bool, context: GuardContext) -> str | None:  # noqa: FBT001 - a guard's value comes first
    """Why not now, None where there is no reason."""
    under_way = [row for row in context.history if row.state in ("requested", "accepted")]
    return f"retraining {under_way[0].key} is under way" if wanted and under_way else None
