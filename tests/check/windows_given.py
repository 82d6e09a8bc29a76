"""Windows as a configuration may ask for them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as some

from monitor.config import Windows

MINUTE, HOUR, DAY = 60, 3600, 86400


@some.composite
def windows(draw: some.DrawFn) -> Windows:
    """Sliding or calendar windows; sizes need not be multiples of `every`."""
    lateness = f"{draw(some.sampled_from([0, 1, 60, 90, 3600, 2 * DAY]))}s"
    if draw(some.booleans()):
        return made(calendar=draw(some.sampled_from(["day", "week", "month"])), lateness=lateness)
    every = draw(some.sampled_from([1, 7, 15, 60, 61, 1440, 1500, 10080]))
    size = every + draw(some.integers(0, 20_000))
    return made(size=f"{size}m", every=f"{every}m", lateness=lateness)


def made(**keys: Any) -> Windows:
    return Windows.model_validate(keys)
