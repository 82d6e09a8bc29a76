"""The statistics a check names: looked up in the registry, and refused with a reason where they don't fit."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from monitor import registry
from monitor.options import Duration, Options, Ratio
from monitor.records import Statistic


class FalseAlarms(Options):
    """A budget of false alarms."""

    at_most: Annotated[float, Field(gt=0)] = 1
    per: Duration = 30 * 86400.0


def statistic(name: str) -> Statistic:
    """A statistic by name; a metric of ranked lists may say to what depth, as in `ndcg@10`.

    Raises:
        UnknownPlugin: there is none of that name.
    """
    found: Statistic = registry.load("statistic", with_depth(name)[0]).STATISTIC
    return found


def with_depth(name: str) -> tuple[str, int | None]:
    """A statistic's own name, and how many of the first items of a list count.

    >>> with_depth("ndcg@10"), with_depth("mae")
    (('ndcg', 10), ('mae', None))
    """
    own, at, depth = name.partition("@")
    return (own, int(depth)) if at and depth.isdigit() and int(depth) else (name, None)


def of_family(family: str) -> list[Statistic]:
    """Every statistic of a family, by name."""
    return [found for name in registry.known("statistic") if (found := statistic(name)).family == family]


def named_statistics(family: str, applies_to: str = "") -> AfterValidator:
    """A validator of statistics' names: each must be known, of the family, and fit that kind of column."""

    def validate(names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            _fits(name, family, applies_to)
        return names

    return AfterValidator(validate)


def _fits(name: str, family: str, applies_to: str) -> None:
    try:
        found = statistic(name)
    except registry.PlannedPlugin:
        raise PydanticCustomError("not_available_yet", "{name}: not available yet", {"name": name}) from None
    except registry.UnknownPlugin:
        found = None
    if found is not None and with_depth(name)[1] is not None and "k" not in found.parameters:
        found = None
    if found is None or found.family != family or (applies_to and applies_to not in found.applies_to):
        fitting = [known.name for known in of_family(family) if not applies_to or applies_to in known.applies_to]
        near = get_close_matches(name, fitting, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"expected one of {', '.join(fitting)}, got {name!r}{hint}")


def keyed_by_statistics(family: str) -> BeforeValidator:
    """A validator of a mapping whose keys are statistics of the family."""

    def validate(value: Any) -> Any:
        for name in value if isinstance(value, dict) else ():
            _fits(str(name), family, "")
        return value

    return BeforeValidator(validate)


Floors = Mapping[str, Annotated[float, Field(ge=0)] | Ratio]
Thresholds = Mapping[str, Annotated[float, Field(allow_inf_nan=False)]]
