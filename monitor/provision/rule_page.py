"""The page of the documentation that lists every alert."""

from __future__ import annotations

from monitor.alert.rules import RULES
from monitor.provision import feature_bins, promql
from monitor.provision.durations import duration
from monitor.provision.watch import RECORDED, WATCH
from monitor.records import Rule

_HEAD = """\
# Alerts

<!-- Built by alerts/build.py from monitor/alert/rules.py; a test keeps it true. -->

One rule set. The daemon's built-in evaluator reads it, and the rules for Prometheus (`alerts/anchorwatch.rules.yml`)
and for Grafana are built from it: the same names, labels and severities on every road. The alerts are static: whether a
value is a breach was decided by the daemon, from its threshold and its direction, and stands in a series `..._breached`.

A firing alert **keeps firing through no-data** and through errors: not knowing is not being well. It resolves when its
check says `ok`, or when what it was about is retired. A no-data alert stands beside each. In Prometheus an alert also
outlasts the daemon's absence, and resolves five minutes after its reason is gone, so that a restart resolves nothing.

Adjust a rule by its name, then `anchorwatch provision prometheus --output FOLDER` for Prometheus:

```yaml
alerting:
  rules:
    ModelFeatureDrift: {severity: warning, for: 1h}
```

Every alert carries `severity`; `owner` and the runbook come from the configuration (`anchorwatch_app_info`).

| alert | severity | for | when | labels |
|---|---|---|---|---|
"""
_WATCH_HEAD = """
## The watch on the watch

For Prometheus only: the daemon cannot tell of its own absence.

| alert | severity | for | when |
|---|---|---|---|
"""
_RECORDED_HEAD = """
## Recorded

| series | what |
|---|---|
"""
_RECORDED_TEXT = {
    "rate5m": "predictions a second, over all versions and daemons",
    "ratio1d": "labels that came in for each prediction, over a day",
    "max_share_of_threshold": "the strongest drift of a version's features; above 1 is a breach",
    "p95_5m": "95th percentile of the predictions' latency, in seconds",
}


def page() -> str:
    """The page, in Markdown."""
    rows = [_row(rule) for rule in RULES]
    watch = [
        f"| {alert['alert']} | {alert['labels']['severity']} | {alert.get('for', '0s')} | {_plain(alert)} |"
        for alert in WATCH
    ]
    recorded = [f"| `{rule['record']}` | {_RECORDED_TEXT[rule['record'].rpartition(':')[2]]} |" for rule in RECORDED]
    recorded += [f"| `{name}` | {text} |" for name, text in feature_bins.MEANINGS.items()]
    parts = (_HEAD, *_lines(rows), _WATCH_HEAD, *_lines(watch), _RECORDED_HEAD, *_lines(recorded), feature_bins.TEXT)
    return "".join(parts)


def _lines(rows: list[str]) -> list[str]:
    return [f"{row}\n" for row in rows]


def _row(rule: Rule) -> str:
    labels = ", ".join(f"`{label}`" for label in promql.subject(rule))
    when = rule.description.replace("{", "*").replace("}", "*")
    return f"| {rule.name} | {rule.severity.value} | {duration(rule.for_seconds)} | {when} | {labels} |"


def _plain(alert: dict[str, dict[str, str]]) -> str:
    text = alert["annotations"]["description"]
    for label in ("app", "model", "receiver", "instance"):
        text = text.replace(f"{{{{ $labels.{label} }}}}", f"*{label}*")
    return text
