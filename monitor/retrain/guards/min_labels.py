"""Not without enough fresh labels to learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, RootModel

if TYPE_CHECKING:
    from monitor.retrain._decide import GuardContext

DEFAULT = 500
COSTLY = True


class Options(RootModel[Annotated[int, Field(ge=0)]]):
    """So many labelled predictions must have come since the last retraining was asked for."""


def refuse(wanted: int, context: GuardContext) -> str | None:
    """Why not now, None where there is no reason."""
    got = context.labels(wanted) if wanted else 0
    return None if got >= wanted else f"expected at least {wanted} fresh labels, got {got}"
