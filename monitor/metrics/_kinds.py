"""What families are made of."""

from __future__ import annotations

from monitor.records import Family

SUBJECT = ("app", "model", "version")
CHECK = ("app", "model", "check")


def gauge(name: str, text: str, *labels: str) -> Family:
    return Family(f"anchorwatch_{name}", "gauge", text, labels)


def counter(name: str, text: str, *labels: str) -> Family:
    return Family(f"anchorwatch_{name}", "counter", text, labels)
