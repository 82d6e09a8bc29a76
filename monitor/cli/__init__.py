"""The commands. Standard output carries only the result; logs and progress go to standard error."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from monitor.version import VERSION

OK, BREACHED, FAULT = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 0 fine, 1 something breached, 2 bad configuration or fault."""
    # Beside an app, threads that wait for each other are slower than one; libraries read this when they are loaded.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from monitor.config import ConfigError

    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except ConfigError as error:
        for line in error.lines:
            print(line, file=sys.stderr)
        return FAULT
    except BrokenPipeError:
        # Whoever read our output has gone; that is no fault of the command's.
        sys.stderr.close()
        return OK
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    from monitor.cli.backtesting import add_options

    parser = argparse.ArgumentParser(prog="anchorwatch", description="Watch an application and the models inside it.")
    parser.add_argument("--version", action="version", version=f"anchorwatch {VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = _command(commands, "run", "run the daemon", _run)
    run.add_argument("--log-format", choices=("text", "json"), help="default: text on a terminal, else json")
    clock = run.add_argument_group("a clock of its own, for replays (the demo and tests)")
    clock.add_argument("--clock-start", metavar="TIME", help="what the clock shows at its origin, ISO 8601")
    clock.add_argument("--clock-rate", type=float, default=1.0, metavar="N", help="clock seconds per real second")
    clock.add_argument("--clock-origin", type=float, metavar="UNIX", help="the real time of the start; default: now")
    run.add_argument("--demo", action="store_true", help=argparse.SUPPRESS)
    check = _command(commands, "check", "judge every model's newest window once", _check)
    check.add_argument("--at", metavar="TIME", help="judge as if it were this time, ISO 8601")
    check.add_argument("--format", choices=("table", "json"), default="table")
    check.add_argument("--output", type=Path, metavar="FILE", help="write the result here")
    check.add_argument("--strict", action="store_true", help="exit 1 also where there is too little evidence")
    add_options(_command(commands, "backtest", "replay the monitors over history: what would have alerted", _backtest))
    config = _group(commands, "config", "look at a configuration")
    _command(config, "validate", "say everything that is wrong with it", _validate)
    _command(config, "schema", "print the JSON Schema of the file", _schema, config=False)
    _provision_commands(_group(commands, "provision", "put dashboards and rules in place"))
    store = _group(commands, "store", "look at the store")
    export = _command(store, "export", "write a model's raw events, in wire form", _export)
    export.add_argument("--model", required=True)
    export.add_argument("--app", help="needed when two apps have a model of this name")
    export.add_argument("--format", choices=("ndjson", "parquet"), default="ndjson")
    export.add_argument("--output", type=Path, metavar="FILE", help="write it here")
    sound = _command(store, "check", "say whether anything in the store contradicts anything else", _check_store)
    sound.add_argument("--quick", action="store_true", help="without what takes longer the more events there are")
    _command(store, "compact", "give the room of what has gone back to the disk; the daemon must not run", _compact)
    demo = _command(commands, "demo", "run the example, replayed fast", _demo, config=False)
    demo.add_argument("--seconds", type=float, help="end by itself after so many seconds")
    return parser


def _command(
    commands: Any, name: str, text: str, function: Callable[[argparse.Namespace], int], *, config: bool = True
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=function)
    if config:
        parser.add_argument("-c", "--config", type=Path, default=Path("anchorwatch.yml"), metavar="FILE")
    return parser


def _group(commands: Any, name: str, text: str) -> Any:
    return commands.add_parser(name, help=text, description=text).add_subparsers(required=True, metavar="COMMAND")


def _load(options: argparse.Namespace, *, secrets: bool = True) -> Any:
    from monitor.alert.rules import RULES
    from monitor.config import load

    return load(options.config, rules=[rule.name for rule in RULES], secrets=secrets)


def _fault(message: str) -> int:
    print(f"anchorwatch: {message}", file=sys.stderr)
    return FAULT


# --- run --------------------------------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    from monitor.memory import prepare

    prepare()
    import asyncio

    from monitor.app import Daemon, StartFailed, serve
    from monitor.cli.logs import set_up
    from monitor.records import instant
    from monitor.schedule import WallClock

    set_up(options.log_format)
    try:
        clock = WallClock()
        if options.clock_start is not None:
            origin = time.time() if options.clock_origin is None else options.clock_origin
            clock = WallClock(instant(options.clock_start), options.clock_rate, origin)
    except ValueError:
        return _fault(f"--clock-start: expected an ISO 8601 time, got {options.clock_start!r}")
    try:
        asyncio.run(serve(Daemon(_load(options), clock=clock, demo=options.demo)))
    except StartFailed as error:
        return _fault(str(error))
    return OK


# --- check ------------------------------------------------------------------------------------------------------------


def _check(options: argparse.Namespace) -> int:
    from monitor.cli.judging import judge_once
    from monitor.cli.tables import findings_table
    from monitor.records import Verdict, instant

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    try:
        now = time.time() if options.at is None else instant(options.at)
    except ValueError:
        return _fault(f"--at: expected an ISO 8601 time, got {options.at!r}")
    findings = [finding for result in judge_once(_load(options, secrets=False), now=now) for finding in result.findings]
    if options.format == "json":
        text = json.dumps({"findings": [finding.as_json() for finding in findings]}, indent=2) + "\n"
    else:
        text = findings_table(findings)
    if (failed := _write(text, options.output)) != OK:
        return failed
    counting = [finding for finding in findings if not finding.superseded]
    verdicts = {finding.verdict for finding in counting}
    unknown = sum(finding.verdict is Verdict.NO_DATA for finding in counting)
    if unknown:
        print(f"warning: too little evidence for {unknown} of {len(counting)} findings", file=sys.stderr)
    if Verdict.ERROR in verdicts:
        return FAULT
    if Verdict.BREACHED in verdicts or (options.strict and Verdict.NO_DATA in verdicts):
        return BREACHED
    return OK


def _write(text: str, output: Path | None) -> int:
    if output is None:
        sys.stdout.write(text)
        return OK
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        return _fault(f"--output: expected a file that can be written, {output}: {error.strerror}")
    return OK


# --- backtest ---------------------------------------------------------------------------------------------------------


def _backtest(options: argparse.Namespace) -> int:
    from monitor.cli.backtesting import run

    return run(options)


# --- config -----------------------------------------------------------------------------------------------------------


def _validate(options: argparse.Namespace) -> int:
    loaded = _load(options, secrets=False)
    models = len(loaded.config.models())
    print(f"{options.config}: ok, {len(loaded.config.apps)} apps, {models} models, hash {loaded.hash}")
    return OK


def _schema(_: argparse.Namespace) -> int:
    from monitor.config import schema

    print(json.dumps(schema(), indent=2))
    return OK


# --- store ------------------------------------------------------------------------------------------------------------


def _check_store(options: argparse.Namespace) -> int:
    from monitor.cli.storing import check_store
    from monitor.store import StoreError

    try:
        sound = check_store(_load(options, secrets=False), quick=options.quick, tell=print)
    except StoreError as error:
        return _fault(str(error))
    if sound:
        print("the store is sound")
    return OK if sound else BREACHED


def _compact(options: argparse.Namespace) -> int:
    from monitor.cli.storing import compact_store
    from monitor.store import StoreError

    try:
        before, after = compact_store(_load(options, secrets=False))
    except StoreError as error:
        return _fault(str(error))
    print(f"{before} bytes before, {after} bytes now")
    return OK


def _export(options: argparse.Namespace) -> int:
    from monitor.cli.export import ExportError, export_model
    from monitor.store import StoreError

    loaded = _load(options, secrets=False)
    try:
        rows = export_model(loaded, options.model, app=options.app, form=options.format, output=options.output)
    except (ExportError, StoreError) as error:
        return _fault(str(error))
    print(f"{rows} events", file=sys.stderr)
    return OK


# --- demo -------------------------------------------------------------------------------------------------------------


def _demo(options: argparse.Namespace) -> int:
    from monitor.demo import run

    return run(seconds=options.seconds)


# --- provision --------------------------------------------------------------------------------------------------------


def _provision_commands(group: Any) -> None:
    for name, text in (
        ("grafana", "put folder, data source, dashboards and rules into Grafana"),
        ("prometheus", "write the rule files for Prometheus"),
        ("alertmanager", "write a configuration for Alertmanager"),
    ):
        parser = _command(group, name, text, _provision)
        parser.set_defaults(system=name)
        parser.add_argument("--dry-run", action="store_true", help="show the difference, change nothing")
        parser.add_argument("--output", type=Path, metavar="DIR", help="where files are written")


def _provision(options: argparse.Namespace) -> int:
    import importlib

    from monitor.provision import ProvisionError

    module = importlib.import_module(f"monitor.provision.{options.system}")
    loaded = _load(options, secrets=options.system == "grafana")
    try:
        lines, _ = module.provision(loaded.config, output=options.output, dry_run=options.dry_run)
    except ProvisionError as error:
        return _fault(str(error))
    print("\n".join(lines))
    return OK
