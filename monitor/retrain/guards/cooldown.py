"""Not so soon after the last one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import RootModel

from monitor.options import Duration, duration_text

if TYPE_CHECKING:
    from monitor.retrain._decide import GuardContext

DEFAULT = 86400.0


class Options(RootModel[Duration]):
    """How long after a retraining was asked for no other one is."""


def refuse(seconds: float, context: GuardContext) -> str | None:
    """Why not now, None where there is no reason."""
    if not context.history:
        return None
    passed = context.now - context.history[0].requested
    if passed >= seconds:
        return None
    ago, expected = duration_text(passed), duration_text(seconds)
    return f"the last retraining was asked for {ago} ago, expected at least {expected}"
