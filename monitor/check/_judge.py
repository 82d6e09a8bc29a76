"""All checks of one model on one window; what goes wrong in one of them stays in it."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from monitor import registry
from monitor.check._context import Context
from monitor.check._references import References
from monitor.check._together import DATA_CHECKS, Said, explained, together
from monitor.check._verdict import whole
from monitor.config import Model
from monitor.records import CheckResult, Verdict, Window
from monitor.source import EventSource, SourceError

log = logging.getLogger(__name__)


def judge_model(  # noqa: PLR0913 - what differs between daemon, backtest and command line is all said here
    app: str,
    model: Model,
    window: Window,
    source: EventSource,
    references: References,
    *,
    now: float,
    matured: Window | None = None,
    between: Sequence[Window] = (),
    known_by: float = math.inf,
    checks: Collection[str] | None = None,
    states: Mapping[str, str] | None = None,
    said: Said | None = None,
) -> list[CheckResult]:
    """The result of every configured check of a model.

    Args:
        app: the app the model belongs to.
        model: whose checks are run.
        window: the stretch of event time to judge.
        source: where its predictions and labels are.
        references: the reference of each version.
        now: Unix seconds; what a finding calls provisional depends on it.
        matured: an earlier window, whose labels have matured: what waits for labels is judged on it as well.
        between: windows between these two, newest first, whose labels are still coming: likewise.
        known_by: labels that came later are not seen.
        checks: only these; None for all.
        states: what each check has left at its last run.
        said: what was said of these windows at the look before.
    """
    context = Context(
        app, model, window, source, references, now, matured=matured, known_by=known_by, between=between, states=states
    )
    names = [name for name in model.checks if checks is None or name in checks]
    return in_order(explained([_on_all_windows(context, name, said or {}) for name in names]))


def in_order(results: Iterable[CheckResult]) -> list[CheckResult]:
    """Results in the order in which they are recorded: whether data are whole is known before anything follows from them."""
    return sorted(results, key=lambda result: result.check not in DATA_CHECKS)


def is_heavy(check: str) -> bool:
    """Whether a check reads raw rows into memory, and is best run in a process of its own."""
    return bool(getattr(registry.load("check", check), "HEAVY", False))


def waits_for_labels(check: str) -> bool:
    """Whether a check's result on a window changes as labels come."""
    return bool(getattr(registry.load("check", check), "WAITS_FOR_LABELS", False))


def _on_all_windows(context: Context, check: str, said: Said) -> CheckResult:
    newest = _result(context, check)
    if not waits_for_labels(check) or not context.revisited:
        return replace(newest, history=newest.findings) if waits_for_labels(check) else newest
    return together([newest, *(_result(earlier, check) for earlier in context.revisited)], said)


def _result(context: Context, check: str) -> CheckResult:
    app, model = context.app, context.model
    try:
        options = model.checks[check].options
        findings = tuple(registry.load("check", check).judge(context, options))
        rows = sum(profile.rows for version, profile in context.profiles.items() if version not in context.superseded)
        verdict, reason = whole(findings)
        # The last active version first: it is the one a retraining would replace.
        versions = sorted(set(context.profiles) - context.superseded, key=lambda v: -context.profiles[v].last)
    except SourceError as error:
        return _failed(context, check, str(error))
    except Exception as error:
        # The edge of one check: it fails alone, and says so.
        log.exception("check failed", extra={"app": app, "model": model.name, "check": check})
        return _failed(context, check, f"{type(error).__name__}: {error}")
    return CheckResult(
        app, model.name, check, verdict, reason, context.window, rows, findings, tuple(versions), context.left(check),
        omitted=context.omitted(check),
    )  # fmt: skip


def _failed(context: Context, check: str, reason: str) -> CheckResult:
    from monitor.records import Finding

    finding = Finding(
        app=context.app,
        model=context.model.name,
        check=check,
        statistic=check,
        verdict=Verdict.ERROR,
        reason=reason,
        window=context.window,
    )
    return CheckResult(context.app, context.model.name, check, Verdict.ERROR, reason, context.window, 0, (finding,))
