"""Numbers that stand for the names of groups of people, where these are to be kept out of what is shown."""

from __future__ import annotations

import json
from collections.abc import Sequence


class Legend:
    """What the groups of each attribute are called; a number once given stays.

    Args:
        kept: what was kept of an earlier run, as `text` writes it.
        anonymous: whether groups are called by numbers; else by their names.

    >>> Legend('{"sex": ["Male"]}', anonymous=True).shown("sex", ["Female", "Male"])
    ['2', '1']
    """

    def __init__(self, kept: str | None, *, anonymous: bool) -> None:
        self.anonymous, self._names = anonymous, _read(kept)

    def shown(self, attribute: str, names: Sequence[str]) -> list[str]:
        """What stands for the groups of an attribute; new ones are numbered in the order of their names."""
        if not self.anonymous:
            return list(names)
        known = self._names.setdefault(attribute, [])
        known += sorted(set(names) - set(known))
        places = {name: str(place) for place, name in enumerate(known, start=1)}
        return [places[name] for name in names]

    def text(self) -> str:
        """The legend as JSON: the names of every attribute's groups, in the order of their numbers."""
        return json.dumps(self._names, ensure_ascii=False)


def _read(kept: str | None) -> dict[str, list[str]]:
    try:
        found = json.loads(kept or "{}")
        return {str(attribute): list(dict.fromkeys(map(str, names))) for attribute, names in found.items()}
    except (ValueError, AttributeError, TypeError):
        return {}  # what cannot be read has numbered nobody
