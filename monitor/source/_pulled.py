"""What of a configuration is pulled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from monitor import registry
from monitor.config import Config, Model
from monitor.source import SourceError

Kind = Literal["predictions", "labels"]


class UnreadableRow(SourceError):
    """A feed has come to a row that stops it. To open it anew would not help, and it would forget what it passed on."""


def pulled(config: Config) -> Iterator[tuple[str, Model, Kind]]:
    """The feeds that are followed: app, model, and what of it."""
    for app, model in config.models():
        sides: tuple[tuple[Kind, Any], ...] = (("predictions", model.predictions), ("labels", model.labels))
        for kind, spec in sides:
            if spec is not None and hasattr(registry.load("source", spec.type), "open_feed"):
                yield app.name, model, kind


def check_of(kind: Kind) -> str:
    """What the watch over a feed is called among a model's checks."""
    return f"feed:{kind}"
