"""Real data in which it is known what changed and when: do the alerts fall there, and nowhere else?

Elec2 and the bikes go through `anchorwatch backtest`, with configurations as a user would write them; the employment data, of
which only the order of the rows is real, are judged in chunks of 5,000 rows. What is expected of each is written down in the
data's own READMEs, and stands here as a list of promises.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import _results
from benchmarks._employment import CHUNK, employment
from benchmarks._populations import DATA
from benchmarks._replays import Promise, Replay, backtest, dates, share

RESULTS = "real_drifts"


# --- elec2 ------------------------------------------------------------------------------------------------------------


def elec2_model() -> dict[str, Any]:
    """Reference and production as the data's README splits them, judged week by week."""
    log = DATA / "elec2" / "prediction_log"
    numbers = ["period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"]
    return {
        "name": "elec2",
        "task": "binary",
        "features": {**{name: {} for name in numbers}, "day": {"type": "categorical"}},
        "reference": {"type": "files", "path": str(log / "predictions.parquet"), "where": "split = 'reference'"},
        "predictions": {"type": "files", "path": str(log / "predictions.parquet"), "where": "split = 'production'"},
        "labels": {"type": "files", "path": str(log / "labels.parquet"), "mature": "7d"},
        "windows": {"size": "7d", "every": "7d", "lateness": "0s"},
        "checks": {"drift": {}, "performance": {"metrics": ["accuracy"], "thresholds": {"accuracy": 0.7}}},
    }


def elec2(replay: Replay) -> list[Promise]:
    """What its README confirms: Victoria joins the market in May 1997, prices move in 1997Q3 to 1998Q1, accuracy follows."""
    victoria = ("vicprice", "vicdemand", "transfer")
    early = replay.breached(*victoria, until="1997-04-27")
    late = {name: replay.breached(name, since="1997-05-11") for name in victoria}
    weeks = replay.windows(since="1997-05-11")
    least = min(len(found) for found in late.values()) / max(len(weeks), 1)
    moved = ["1997-07", "1997-08", "1997-09", "1997-10", "1997-11", "1997-12", "1998-01", "1998-02", "1998-03"]
    price = replay.breached("nswprice")
    found = sorted({start[:7] for start in price} & set(moved))
    quarters = sorted({moved.index(month) // 3 + 1 for month in found})
    alike = [start for start in price if start < "1997-04" or start >= "1998-07"]  # PSI of the quarters .13, .14
    clock = replay.breached("period")
    lost = replay.breached(check="performance", since="1997-05-01", until="1998-04-01")
    labelled = [each["window"]["start"] for each in replay.of("performance") if each["value"] is not None]
    judged = {start for start in labelled if "1997-05-01" <= start < "1998-04-01"}
    after = replay.breached(check="performance", since="1998-08-01")
    name, often = "elec2", "accuracy below 0.7 in most weeks of May 1997 to March 1998"
    return [
        Promise(name, "no Victorian column before it joins (May 1997)", dates(early), not early),
        Promise(name, "each Victorian column in nearly all weeks from then on", f"at least {least:.0%}", least > 0.9),
        Promise(name, "price in every quarter from 1997Q3 to 1998Q1", share(quarters, [1, 2, 3]), len(quarters) == 3),
        Promise(name, "price in nearly all months of these", share(found, moved), len(found) >= len(moved) - 1),
        Promise(name, "price in no week of 1997Q1 nor from 1998Q3 on", dates(alike), not alike),
        Promise(name, "the half-hour of the day never", dates(clock), not clock),
        Promise(name, often, share(lost, judged), 2 * len(lost) > len(judged)),
        Promise(name, "accuracy recovered from August 1998 on", dates(after), len(after) <= 2),
    ]


# --- bikes ------------------------------------------------------------------------------------------------------------

BIKES_KINDS: dict[str, dict[str, str]] = {
    **{name: {"type": "categorical"} for name in ("season", "holiday", "workingday", "weathersit", "weekday")},
    **{name: {} for name in ("hr", "temp", "atemp", "hum", "windspeed")},
}


def bikes_model(reference: str, predictions: str, **changes: Any) -> dict[str, Any]:
    """The bikes, with the rows of the reference and of production given as conditions."""
    log = DATA / "bike_sharing" / "prediction_log"
    source = {"type": "files", "path": str(log / "predictions.parquet")}
    return {
        "name": "bikes",
        "task": "regression",
        "features": BIKES_KINDS,
        "reference": {**source, "where": reference, **changes.pop("of_reference", {})},
        "predictions": {**source, "where": predictions},
        "labels": {"type": "files", "path": str(log / "labels.parquet"), "mature": "7d"},
        "windows": {"size": "7d", "every": "7d", "lateness": "0s"},
        "checks": {"drift": {}, "performance": {"metrics": ["mae"], "thresholds": {"mae": 25}, "min_labels": 100}},
        **changes,
    }


def bikes_winter() -> dict[str, Any]:
    """Against four weeks of January 2011, as the README splits them."""
    return bikes_model("split = 'reference'", "split = 'production' AND timestamp < '2011-09-01'")


def bikes_by_season() -> dict[str, Any]:
    """2012, month by month, against the same months of 2011."""
    return bikes_model(
        "timestamp < '2012-01-01'",
        "timestamp >= '2012-01-01'",
        of_reference={"match": ["month_of_year"]},
        windows={"calendar": "month", "lateness": "0s"},
    )


def bikes(replay: Replay) -> list[Promise]:
    """The seasons turn, and the model that has only seen January fails; the clock does not drift."""
    warm = replay.breached("temp", "atemp", since="2011-05-01")
    season = replay.breached("season", since="2011-04-01")
    quiet = replay.breached("season", until="2011-03-13")
    clock = replay.breached("hr", "weekday")
    lost = replay.breached(check="performance", since="2011-04-01")
    spring, weeks = replay.windows("2011-05-01"), replay.windows("2011-04-01")
    name = "bikes, against January 2011"
    return [
        Promise(name, "temperature in all weeks from May", share(warm, spring), len(warm) == len(spring)),
        Promise(name, "season in all weeks from April", share(season, weeks), len(season) == len(weeks)),
        Promise(name, "season in no week before spring begins", dates(quiet), not quiet),
        Promise(name, "hour and weekday never", dates(clock), not clock),
        Promise(name, "error in nearly all weeks from April", share(lost, weeks), len(lost) >= 0.9 * len(weeks)),
    ]


def bikes_matched(replay: Replay) -> list[Promise]:
    """Growth from year to year: only the target and what hangs on it."""
    january = {"since": "2012-01-01", "until": "2012-02-01"}
    label = replay.breached("label", **january)
    lost = replay.breached(check="performance", **january)
    quiet = replay.breached("season", "hr", "weekday", **january)
    growing = replay.breached("label")
    months = {each["window"]["start"] for each in replay.of("drift", "label")}
    always = replay.breached("season", "hr", "weekday")
    name = "bikes, matched by month"
    return [
        Promise(name, "January 2012: the label has drifted", dates(label), bool(label)),
        Promise(name, "January 2012: the error is a breach", dates(lost), bool(lost)),
        Promise(name, "January 2012: nothing on season, hour, weekday", dates(quiet), not quiet),
        Promise(
            name,
            "the label in every month of 2012 whose labels have come",
            share(growing, months),
            len(growing) == len(months),
        ),
        Promise(name, "season, hour and weekday in no month of 2012", dates(always), not always),
    ]


# --- the tables -------------------------------------------------------------------------------------------------------


def calendar(replay: Replay) -> str:
    """By feature and month, in how many of the windows that began in it there was a breach."""
    months = sorted({start[:7] for start in replay.windows()})
    lines = []
    for feature in replay.ever():
        found = replay.breached(feature)
        counts = [sum(start.startswith(month) for start in found) for month in months]
        lines.append([feature, *(str(number or "·") for number in counts)])
    return _results.markdown(["", *months], lines)


REPLAYS: dict[str, tuple[str, Callable[[], dict[str, Any]], Callable[[Replay], list[Promise]]]] = {
    "elec2": ("elec2, week by week", elec2_model, elec2),
    "bikes": ("bikes against January 2011, week by week", bikes_winter, bikes),
    "bikes_matched": ("bikes, the months of 2012 against those of 2011", bikes_by_season, bikes_matched),
}


def employment_table_of(by_chunk: dict[str, list[str]]) -> str:
    lines = [[chunk, str(len(names)), ", ".join(names)] for chunk, names in by_chunk.items() if names]
    return _results.markdown(["chunk", "columns", "which"], lines, left=3)


def measure(names: Sequence[str]) -> tuple[list[Promise], str, dict[str, Any]]:
    """All promises, the tables beside them, and both as data."""
    promises: list[Promise] = []
    parts: list[str] = []
    data: dict[str, Any] = {}
    for name in names:
        if name == "ma_employment":
            kept, by_chunk, by_year = employment()
            promises += kept
            parts.append(f"## ma_employment, chunks of {CHUNK:,} rows against 2015\n\n{employment_table_of(by_chunk)}")
            data[name] = {"by_chunk": by_chunk, "by_year": by_year}
            continue
        title, model, judged = REPLAYS[name]
        replay = backtest(model())
        promises += judged(replay)
        parts.append(f"## {title}\n\nWindows with a breach, by the month they begin in.\n\n{calendar(replay)}")
        data[name] = {
            "breached": {feature: replay.breached(feature) for feature in replay.ever()},
            "alerts": replay.alerts,
        }
    return promises, "\n\n".join(parts), data


def main() -> int:
    everything = [*REPLAYS, "ma_employment"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "data", nargs="*", choices=[*everything, []], help="which of them (default: all; only then written)"
    )
    options = parser.parse_args()
    promises, tables, data = measure(options.data or everything)
    rows = [[each.data, each.text, each.seen, "yes" if each.holds else "**no**"] for each in promises]
    body = f"{_results.markdown(['data', 'expected', 'seen', 'holds'], rows, left=4)}\n\n{tables}\n"
    if not options.data:
        told = [promise.__dict__ for promise in promises]
        _results.write(RESULTS, "Real drifts", body, {"promises": told, "data": data})
    print(body)
    return 0


if __name__ == "__main__":
    sys.exit(main())
