"""What serving systems log, read into predictions and labels on the wire. Pure: bytes and rows in, records out.

- `cloudevents`: KServe's inference logger and Seldon's request logger; `halves` joins a request with its response.
- `sagemaker`: data capture and ground truth, one call a line.
- `tf_serving`: `PredictionLog` as lines of JSON, or as records of a TFRecord file (`tfrecord`).
- `mlflow`: rows of Databricks' inference tables.

Whatever cannot be read raises `Unreadable`, with a reason; nothing else is ever raised. See docs/serving-logs.md.
"""

from __future__ import annotations

from monitor.serving_logs._outcomes import Outcome
from monitor.serving_logs._values import Limits
from monitor.serving_logs.halves import Half, Sender, Side, decode, encode, join, labels, shown
from monitor.serving_logs.unreadable import Reason, Unreadable

__all__ = [
    "Half",
    "Limits",
    "Outcome",
    "Reason",
    "Sender",
    "Side",
    "Unreadable",
    "decode",
    "encode",
    "join",
    "labels",
    "shown",
]
