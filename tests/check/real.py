"""Real prediction logs as tables in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.check.labelled_worlds import Table, names, seconds

BIKES = "season holiday workingday weekday hr weathersit temp atemp hum windspeed".split()


def _log(folder: Path) -> tuple[Any, Any]:
    """The predictions beside their labels, and when each came; infinity where none ever did."""
    import pandas as pd

    data = pd.read_parquet(folder / "predictions.parquet").merge(
        pd.read_parquet(folder / "labels.parquet"), on="event_id", how="left"
    )
    came = np.where(data["label_timestamp"].isna(), np.inf, seconds(data["label_timestamp"]))
    return data, came


def elec2(shared_data: Path) -> Table:
    data, came = _log(shared_data / "elec2" / "prediction_log")
    columns = {"score/1": data["probability"].to_numpy()}
    return Table(seconds(data["timestamp"]), names(data["prediction"]), names(data["label"].fillna(-1)), columns, came)


def bikes(shared_data: Path) -> Table:
    data, came = _log(shared_data / "bike_sharing" / "prediction_log")
    columns = {name: data[name].to_numpy(dtype=np.float64) for name in BIKES}
    predicted, label = (data[name].to_numpy(dtype=np.float64) for name in ("prediction", "label"))
    return Table(seconds(data["timestamp"]), predicted, label, columns, came)
