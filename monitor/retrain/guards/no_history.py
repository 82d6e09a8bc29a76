"""Not on a store that cannot know whether there was a retraining just now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import RootModel

from monitor.options import duration_text

if TYPE_CHECKING:
    from monitor.retrain._decide import GuardContext

DEFAULT = True


class Options(RootModel[bool]):
    """Whether a store younger than the cooldown is a reason to refuse; `store.ephemeral` says that an empty one is meant."""


def refuse(wanted: bool, context: GuardContext) -> str | None:  # noqa: FBT001 - a guard's value comes first
    """Why not now, None where there is no reason."""
    if not wanted or context.ephemeral:
        return None
    age, cooldown = context.now - context.store_created, context.options["cooldown"]
    if age >= cooldown:
        return None
    young, expected = duration_text(age), duration_text(cooldown)
    return f"the store is {young} old, younger than the cooldown of {expected}: a retraining may just have run"
