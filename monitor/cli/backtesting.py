"""`anchorwatch backtest`: its options, its progress on a terminal, and its result."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.backtest import Comparison, Outcome, SeriesLog

Bounds = tuple[float | None, float | None]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--from", dest="start", metavar="TIME", help="default: the first event, ISO 8601")
    parser.add_argument(
        "--to", dest="end", metavar="TIME", help="default: the end of the last event's window, ISO 8601"
    )
    parser.add_argument("--model", help="only the models of this name")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="another configuration: show what it would change")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the result here")
    parser.add_argument(
        "--openmetrics", type=Path, metavar="FILE", help="write the series here, for promtool to import"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress, also on a terminal")


class BadOption(Exception):
    """An option that cannot be followed; the message names it."""


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit code is 0 unless something failed."""
    from monitor.backtest import SeriesLog, UnknownModel
    from monitor.cli import FAULT, OK, _fault
    from monitor.cli.redrawn import ProgressLine

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logging.getLogger().handlers[0].addFilter(_Once())
    series = SeriesLog() if options.openmetrics else None
    line = ProgressLine(sys.stderr, quiet=options.quiet)
    try:
        bounds = _bounds(options)
        for name in ("output", "openmetrics"):
            _must_be_writable(name, getattr(options, name))
        result = _replayed(options, bounds, series, line)
    except BadOption as error:
        return _fault(str(error))
    except UnknownModel as error:
        return _fault(f"--model: {error}")
    finally:
        line.clear()
    outcomes = [result] if options.compare is None else [result.base, result.other]
    if (failed := _written(options, result, series)) != OK:
        return failed
    for note in dict.fromkeys(note for outcome in outcomes for note in outcome.notes):
        print(f"warning: nothing to replay of {note}", file=sys.stderr)
    failures = list(dict.fromkeys(failure for outcome in outcomes for failure in outcome.failures))
    for failure in failures:
        print(f"anchorwatch: {failure}", file=sys.stderr)
    return FAULT if failures else OK


class _Once(logging.Filter):
    """Lets a fault through once: it is met again in every window."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[tuple[str, str]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        fault = record.exc_info[1] if record.exc_info else None
        key = record.getMessage(), f"{getattr(record, 'check', '')}{fault!r}"
        new = key not in self._seen
        self._seen.add(key)
        return new


def _bounds(options: argparse.Namespace) -> Bounds:
    from monitor.records import instant

    found: dict[str, float | None] = {}
    for name, text in (("from", options.start), ("to", options.end)):
        try:
            found[name] = None if text is None else instant(text)
        except ValueError:
            raise BadOption(f"--{name}: expected an ISO 8601 time, got {text!r}") from None
    if found["from"] is not None and found["to"] is not None and found["from"] > found["to"]:
        raise BadOption(f"--to: expected a time after --from, got {options.end!r}")
    if options.compare is not None and options.openmetrics is not None:
        raise BadOption("--openmetrics: expected one configuration, got two with --compare")
    return found["from"], found["to"]


def _must_be_writable(name: str, path: Path | None) -> None:
    """Said before the work, not after it."""
    if path is None:
        return
    place = path if path.exists() else path.resolve().parent
    if path.is_dir() or not place.exists() or not os.access(place, os.W_OK):
        raise BadOption(f"--{name}: expected a file that can be written, got {path}")


def _replayed(options: argparse.Namespace, bounds: Bounds, series: SeriesLog | None, tell: Any) -> Any:
    from monitor.backtest import backtest, compare
    from monitor.cli import _load

    start, end = bounds
    loaded = _load(options, secrets=False)
    if options.compare is None:
        return backtest(loaded, model=options.model, start=start, end=end, series=series, tell=tell)
    other = _load(argparse.Namespace(config=options.compare), secrets=False)
    base, changed = (backtest(each, model=options.model, start=start, end=end, tell=tell) for each in (loaded, other))
    return compare(base, changed)


def _written(options: argparse.Namespace, result: Outcome | Comparison, series: SeriesLog | None) -> int:
    from monitor.cli import _fault
    from monitor.cli.replays import comparison_table, outcome_table

    if options.format == "json":
        text: Iterable[str] = result.write_json()
    elif options.compare is None:
        text = [outcome_table(result)]  # type: ignore[arg-type]
    else:
        text = [comparison_table(result, str(options.config), str(options.compare))]  # type: ignore[arg-type]
    try:
        if options.output is None:
            sys.stdout.writelines(text)
        else:
            with options.output.open("w", encoding="utf-8") as file:
                file.writelines(text)
        if series is not None:
            with options.openmetrics.open("w", encoding="utf-8") as file:
                file.writelines(series.lines())
    except BrokenPipeError:
        raise
    except OSError as error:
        return _fault(f"expected a file that can be written, {error.filename}: {error.strerror}")
    return 0
