"""Durations as Prometheus and Grafana write them."""

from __future__ import annotations

# A year and a week are only used when they fit exactly, as in Prometheus's own formatting.
_UNITS = (("y", 31_536_000_000, True), ("w", 604_800_000, True), ("d", 86_400_000, False), ("h", 3_600_000, False))
_SMALL = (("m", 60_000, False), ("s", 1000, False), ("ms", 1, False))


def duration(seconds: float) -> str:
    """Seconds in the one way Prometheus and Grafana print them back, so that what was sent can be compared.

    >>> [duration(value) for value in (0, 90, 3600, 86400, 7 * 86400, 0.5)]
    ['0s', '1m30s', '1h', '1d', '1w', '500ms']
    """
    rest = round(seconds * 1000)
    text = ""
    for unit, size, exact in (*_UNITS, *_SMALL):
        if exact and rest % size:
            continue
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
