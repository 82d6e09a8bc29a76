"""What is configured as metrics: its checks without a result yet, its counters at 0, and off the page with what is not."""

from __future__ import annotations

import time
from collections.abc import Iterable

from monitor import registry
from monitor.config import Config, Loaded
from monitor.consequences.exposition import CHECK_GAUGES, OUTCOMES, expose_state
from monitor.metrics import Metrics
from monitor.metrics._families import families
from monitor.records import Verdict
from monitor.registry import known

Check = tuple[str, str | None, str]


def expose_config(metrics: Metrics, loaded: Loaded, *, checks: Iterable[Check], gone: Iterable[Check]) -> None:
    """What is configured: its checks without a result yet, its counters at 0; what no longer is goes off the page."""
    metrics.withdraw(["anchorwatch_config_info", "anchorwatch_app_info"])
    metrics.set("anchorwatch_config_info", 1, hash=loaded.hash)
    metrics.set("anchorwatch_config_last_reload_successful", 1)
    metrics.set("anchorwatch_config_last_reload_success_timestamp_seconds", time.time())
    for app in loaded.config.apps:
        metrics.set("anchorwatch_app_info", 1, app=app.name, owner=app.owner, runbook=app.runbook)
    for app_name, model_name, check in gone:
        metrics.withdraw(CHECK_GAUGES, app=app_name, model=model_name or "", check=check)
    for app_name, model_name, check in checks:
        expose_state(metrics, app_name, model_name, check, Verdict.NO_DATA)
    for receiver in loaded.config.alerting.receivers:
        for name in ("attempts", "failures", "dropped"):
            metrics.add(f"anchorwatch_notification_{name}_total", 0, receiver=receiver.name)
    for app, model in loaded.config.models():
        _expose_zeros(metrics, app.name, model.name, guarded=model.retraining is not None)


def _expose_zeros(metrics: Metrics, app: str, model: str, *, guarded: bool) -> None:
    """Counters at 0 from the start, so that their first increase is seen."""
    metrics.add("anchorwatch_model_labels_total", 0, app=app, model=model)
    for kind in ("predictions", "labels"):
        for name in ("records", "duplicates"):
            metrics.add(f"anchorwatch_ingest_{name}_total", 0, app=app, model=model, kind=kind)
    if guarded:
        metrics.add("anchorwatch_retraining_requests_total", 0, app=app, model=model)
        metrics.add("anchorwatch_retraining_failures_total", 0, app=app, model=model)
        for guard in known("guard"):
            metrics.add("anchorwatch_retraining_refusals_total", 0, app=app, model=model, guard=guard)
        for outcome in OUTCOMES:
            metrics.add("anchorwatch_retraining_outcomes_total", 0, app=app, model=model, outcome=outcome)


def forget_unit(metrics: Metrics, app: str, model: str | None) -> None:
    """Take the gauges of an app or a model off the page: another daemon sees to it, and shows them."""
    gauges = [name for name in families() if metrics.kind(name) == "gauge" and name != "anchorwatch_app_info"]
    metrics.withdraw([name for name in gauges if "model" in families()[name].labels], app=app, model=model or "")
    if model is None:
        metrics.withdraw([name for name in gauges if "model" not in families()[name].labels], app=app)


def forget_unconfigured(metrics: Metrics, old: Loaded, fresh: Config) -> None:
    """Take the series of the apps, probes and models that are no longer configured off the page."""
    apps = {app.name: app for app in fresh.apps}
    models = {(app.name, model.name) for app, model in fresh.models()}
    for app in old.config.apps:
        if app.name not in apps:
            metrics.forget(app=app.name)
            continue
        kept = {probe.name for probe in apps[app.name].probes}
        for probe in app.probes:
            if probe.name not in kept:
                metrics.forget(app=app.name, probe=probe.name)
        for spec, still in ((app.scrape, apps[app.name].scrape), (app.process, apps[app.name].process)):
            if spec is not None and still is None:
                families = registry.load("probe", spec.type).FAMILIES
                metrics.withdraw([family.name for family in families], app=app.name)
    for app, model in old.config.models():
        if (app.name, model.name) not in models:
            metrics.forget(app=app.name, model=model.name)
