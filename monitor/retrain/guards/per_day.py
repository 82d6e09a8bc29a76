"""Not too many in a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, RootModel

if TYPE_CHECKING:
    from monitor.retrain._decide import GuardContext

DEFAULT = 2


class Options(RootModel[Annotated[int, Field(ge=1)]]):
    """At most so many retrainings in any 24 hours."""


def refuse(at_most: int, context: GuardContext) -> str | None:
    """Why not now, None where there is no reason."""
    recent = sum(row.requested > context.now - 86400 for row in context.history)
    return None if recent < at_most else f"expected fewer than {at_most} retrainings in 24 hours, got {recent}"
