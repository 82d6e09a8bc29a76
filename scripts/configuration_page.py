"""Builds docs/configuration.md: every key of the configuration, its type, default and meaning, from the code itself.

Run it without arguments to write the page. Keys, types and defaults come from the options of the parts; what a key means
is said by its field's `description`, or here for the parts that came first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monitor import registry
from monitor.config import schema
from monitor.config.schema import NOT_YET

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"

HEAD = """\
# Configuration

<!-- Built by scripts/configuration_page.py from the code; a test keeps it true. -->

One YAML file, `anchorwatch.yml` by default (`-c FILE` names another). The smallest useful one:

```yaml
apps:
  - name: shop
    models:
      - name: demand
        task: regression
        reference: {type: files, path: reference.parquet}
```

`anchorwatch config validate` says everything that is wrong with a file at once, each with its line;
`anchorwatch config schema > anchorwatch.schema.json` gives an editor what it needs to complete and check keys.

- **Durations** are written `30s`, `5m`, `1h`, `7d`; **ratios** `0.999` or `99.9%`; **sizes** `500MB`, `2GB`.
- **`${NAME}`** and **`${NAME:-default}`** come from the environment; `$$` is a plain `$`.
- **Secrets** have a twin `…_file`: the path of a file that holds the secret, read anew at every use. Messages never
  show a secret, nor what came from the environment.
- **Relative paths** start from the configuration's folder.
- An unknown key is an error that names the nearest known one. Keys marked *not available yet* are validated, and refused.
- On SIGHUP and `POST /-/reload` a file is validated whole and swapped whole; one that is wrong changes nothing.
"""

TIMEOUT = "how long one attempt may take in all"
MEANINGS = {
    # the file
    ".listen": "where metrics, API and pages are served; beyond loopback it needs `auth`",
    ".metrics_listen": "serves only `/metrics`, `/livez` and `/readyz`, without a token",
    ".data_dir": "where the store and everything else is kept",
    ".store": "what is kept, and for how long",
    ".auth": "who may write; `none` opens the API aloud, wherever it listens",
    ".apps": "the applications that are watched",
    ".alerting": "who evaluates the rules, and who is told",
    ".grafana": "where `provision grafana` puts dashboards and rules",
    ".metrics": "how much is exposed as series",
    "Store.url": "a PostgreSQL instead of the SQLite file in `data_dir`: "
    "`postgresql+psycopg://user:password@host/name`; see [store.md](store.md)",
    "Store.retention": "how long raw rows are kept, counted from their receipt",
    "Store.profiles": "how long profiles are kept after the last row was added to them",
    "Store.sample": "the share of raw rows that is kept once they have been judged and their labels have matured",
    "Store.max_size": "beyond it the oldest raw rows go first, and are counted",
    "Store.ephemeral": "whether an empty store is meant: then it is no reason to refuse a retraining",
    "Auth.tokens": "the tokens that are accepted",
    "Auth.none": "the same as `auth: none`",
    "Token.name": "whose token it is; it is what logs say",
    "Token.role": "what it may do; each role may do what those before it may",
    "Token.token": "the token itself",
    # apps
    "App.name": "the label `app` of all its series",
    "App.owner": "who is responsible; told with every alert",
    "App.runbook": "where to read what to do; told with every alert",
    "App.probes": "looks at the app from outside, see *Probes*",
    "App.scrape": "the app's own metrics, read by the daemon",
    "App.process": "the app's process on this machine",
    "App.slos": "service level objectives",
    "App.models": "the models inside it",
    "probe.type": "which kind of probe",
    "probe.name": "the label `probe` of its series; unique within the app",
    "probe.every": "how often it looks",
    "probe http.url": "what to ask",
    "probe http.method": "how to ask",
    "probe http.headers": "headers to send; their values are treated as secrets",
    "probe http.body": "a body to send as text",
    "probe http.json": "a body to send as JSON",
    "probe http.timeout": "how long the whole look may take",
    "probe http.expect": "what the answer must be; without it any 2xx is fine",
    "Expectation.status": "the status, or a list of those that are fine",
    "Expectation.body": "a regular expression that the body must contain",
    "Expectation.json": "what must stand at one place of a JSON answer",
    "JsonExpectation.path": "the place, such as `items.0.price`",
    "JsonExpectation.equals": "exactly this value",
    "JsonExpectation.between": "a number within `[low, high]`, both included",
    "scrape.every": "how often it is read",
    "scrape.url": "where the app's metrics are",
    "scrape.requests": "the counter of requests, as a series selector",
    "scrape.errors": "those of them that failed",
    "scrape.latency": "the histogram of latencies in seconds, without `_bucket`",
    "scrape.timeout": "how long reading may take",
    "process.every": "how often it is looked at",
    "process.port": "the process that listens on this port",
    "process.pid_file": "the process whose id stands in this file",
    "process.name": "the process of this name",
    "process.cgroup": "the processes of a control group; *not available yet*",
    # models
    "Model.name": "the label `model` of its series, and `model` on the wire",
    "Model.task": "what it predicts; `ranking` is *not available yet*",
    "Model.columns": "the names of the columns with a part to play",
    "Model.features": "these and no others; left out: every column of the reference that has no other part to play",
    "Model.positive": "the class of a binary model that counts as positive, as it is spelled in predictions and labels",
    "Model.segments": "columns, or groups of them, whose values are judged by themselves",
    "Model.reference": "what normal is, see *Sources*",
    "Model.predictions": "where predictions come from; left out, they are pushed",
    "Model.labels": "where labels come from; left out, they are pushed",
    "Model.windows": "the stretches of event time that are judged",
    "Model.checks": "the checks that run, see *Checks*; without the key: drift, quality and volume",
    "Model.lineage": "where a version comes from",
    "Model.retraining": "when a retraining is asked for, and how",
    "Columns.id": "the id that joins a label to its prediction",
    "Columns.timestamp": "when the prediction was made; without an offset it is UTC",
    "Columns.prediction": "what the model said",
    "Columns.score": "its probability: one column, or one for each class",
    "Columns.version": "the version of the model that said it",
    "Columns.latency": "how long it took, in seconds",
    "Columns.label": "what turned out to be true",
    "Columns.label_timestamp": "when that became known",
    "Columns.query": "the list that an item of a ranking belongs to; on the wire it travels in `features`",
    "Feature.type": "left out: numbers are numeric, everything else is categorical",
    "Feature.importance": "its weight among the features; the most important ones are exposed first",
    "source.type": "which kind of source",
    "labels.mature": "how long after its end a window's performance is provisional",
    "labels.expire": "after which a label that matches no prediction goes",
    "source files.path": "a file, a glob, a folder or a Delta table, also by a URL such as `s3://bucket/log/`; see "
    "[files.md](files.md)",
    "source files.format": "what the files hold; left to itself, their names tell",
    "source files.delta_version": "of a Delta table: the version that is read; left out: the current one",
    "source files.path_dates": "how far an event's time may lie from the date in its file's path, where there is one",
    "source files.storage": "how a remote path is reached: `endpoint_url`, `region`, `account`, `access_key`, `secret_key`, "
    "`token`, `anonymous`, `timeout`, `options`",
    "source files.log": "of logs of serving systems: `serving_model`, `id_from`, `classes`, `prediction`, `probability`; see "
    "[serving-logs.md](serving-logs.md)",
    "source sql.timeout": "how long one query may take",
    "source sql.every": "how often the query is asked",
    "source ingest.service": "the name of its inference service in CloudEvents; left out: the model's",
    "source ingest.outputs": "how the answers that a serving system logs are read: `classes`, `prediction`, "
    "`probability`",
    "source files.where": "an SQL condition that picks the rows",
    "source files.versions": "for a reference: a path with `{version}`; where that file exists, a version has its own "
    "reference",
    "Windows.size": "how much event time a window holds",
    "Windows.every": "how often a window ends, on multiples since 1970 UTC; left out beside `size`: as long as that",
    "Windows.lateness": "how long after its end it is judged, so that late rows are in",
    "Windows.calendar": "whole days, weeks (from Monday) or months in UTC, instead of `size` and `every`",
    "source files.match": "for a reference: the seasons (UTC) whose rows a window is held against, in its own "
    "proportions",
    "source window.start": "where a trusted period of production begins",
    "source window.end": "where it ends; not part of it",
    "source window.match": "the seasons (UTC) whose rows a window is held against, in its own proportions",
    "source trailing.size": "how long it is; the bins are drawn once, from the first stretch of that length",
    "source trailing.gap": "how long before the window it ends",
    "source trailing.match": "the seasons (UTC) whose rows a window is held against, in its own proportions",
    "check drift.statistics": "which statistics, by kind of column; see [drift.md](drift.md)",
    "check drift.thresholds": "by statistic: a fixed threshold, instead of the budget and the floor",
    "check drift.min_rows": "below it nothing is said",
    "check drift.false_alarms": "how many false alarms are tolerated",
    "check drift.material": "by statistic: effects smaller than this never alert; each has a default of its own",
    "check multivariate.statistics": "which statistics: of all features together, of each vector, of each text",
    "check multivariate.false_alarms": "how many false alarms are tolerated",
    "check multivariate.material": "by statistic: effects smaller than this never alert; each has a default of its own",
    "check multivariate.thresholds": "by statistic: a fixed threshold, instead of the budget and the floor",
    "check multivariate.sample": "at most so many rows of the reference and of the window are looked at",
    "check multivariate.min_rows": "below it nothing is said",
    "BySubject.table": "of all numeric and categorical features together",
    "BySubject.vector": "of each feature of the type `vector`",
    "BySubject.text": "of each feature of the type `text`",
    "ByKind.numeric": "statistics of numeric features",
    "ByKind.categorical": "statistics of categorical features",
    "FalseAlarms.at_most": "so many false alarms",
    "FalseAlarms.per": "in so long a time",
    "check labels.coverage": "a smaller share of predictions with a label is a breach, once labels have matured",
    "check labels.lag": "if 95 % of the labels take longer, they are late; left out, `labels.mature`",
    "check labels.selection": "segments may be covered by labels as differently as that",
    "check labels.min_rows": "below so many rows nothing is said",
    "check performance.metrics": "which metrics; left out, `mae` and `rmse` of a regression, `accuracy` of a classifier, and"
    " `ndcg@10` of a ranking",
    "check performance.thresholds": "by metric: beyond it, in the direction that is worse, it is a breach, whatever the "
    "budget",
    "check performance.min_labels": "below so many labelled rows nothing is said",
    "check performance.false_alarms": "the budget: at most so many false alerts",
    "check performance.material": "by metric: smaller losses against the reference never alert; in the metric's unit, or as a"
    " share (`10%`) of the reference's value",
    "check performance.average": "of more than two classes, how precision, recall, specificity and F1 are averaged",
    "check performance.quantile": "that a `pinball` loss is of",
    "check performance.decision": "from which score on a row of a binary model is positive; left out, the prediction itself "
    "says",
    "check estimation.metrics": "which metrics; left out, `mae` and `rmse` of a regression, `roc_auc` and `accuracy`"
    " of a classifier",
    "check estimation.false_alarms": "the budget: at most so many false alerts",
    "check estimation.material": "by metric: smaller losses against the reference never alert, and an estimator that is off by"
    " more is not relied on; in the metric's unit, or as a share of the reference's value",
    "check estimation.thresholds": "by metric: beyond it, in the direction that is worse, it is a breach, whatever the "
    "budget",
    "check estimation.min_rows": "below so many predictions nothing is said",
    "check estimation.windows": "on so many earlier windows, whose labels have come, the estimator is checked",
    "check estimation.average": "of more than two classes, how precision, recall, specificity and F1 are averaged",
    "check estimation.decision": "from which score on a row of a binary model is positive; left out, the prediction itself "
    "says",
    "check concept.detectors": "which detectors follow the losses; see [estimation.md](estimation.md)",
    "check concept.loss": "what of a row is followed; left out, `absolute_error` of a regression, `error` of a "
    "classifier",
    "check concept.false_alarms": "the budget: at most so many false alerts",
    "check concept.material": "a rise of the mean loss above the reference's that never alerts, in its unit or as a share;"
    " left out, 0.02 of `error`, 10 % of others",
    "check fairness.protected": "the protected attributes: names of columns that travel with the features; a list in it stands"
    " for the combinations of its columns, see [fairness.md](fairness.md)",
    "check fairness.metrics": "which metrics; left out, `demographic_parity_difference` and `equalized_odds_difference` of a"
    " binary model, `group_error_difference` of a regression",
    "check fairness.min_group": "groups of fewer rows are left out, and told",
    "check fairness.false_alarms": "the budget: at most so many false alerts, over attributes, metrics and versions "
    "together",
    "check fairness.material": "by metric: the value beyond which it matters; left out, a difference of 0.1, a ratio of 0.8, and"
    " of a regression a fifth of the mean error",
    "check fairness.thresholds": "by metric: beyond it is a breach, whatever the budget",
    "check fairness.anonymous": "whether groups go by numbers instead of their names, in all that is shown",
    "check quality.missing": "at most this share of rows without a value",
    "check quality.unseen": "at most this share of rows with a value the reference does not know",
    "check quality.out_of_range": "at most this share of numbers that are implausible beside the reference, or beyond "
    "`ranges`",
    "check quality.ranges": "by feature: `[low, high]`, either of which may be null; what lies beyond is out of range",
    "check quality.duplicates": "at most this share of rows that are copies, beyond those the reference has; null turns it "
    "off",
    "check quality.constant": "whether a feature with one value in all rows is a breach, if the reference's changes",
    "check volume.silence": "at most so long without a prediction; null turns it off",
    "check volume.change": "a smaller change of the number of rows never alerts; null turns it off",
    "check volume.false_alarms": "the budget: at most so many false alerts of volume",
    "check volume.history": "so many earlier windows, a week apart, tell what is usual",
    "check quality.min_rows": "below it nothing is said",
    "check skew.false_alarms": "how many false alarms are tolerated",
    "check skew.material": "distributions that fewer rows than this share would have to move for never alert",
    "check skew.rows": "at most so many raw rows of the window and of the reference are looked at",
    "check skew.min_rows": "below it nothing is said",
    "check skew.replay": "where the features are recomputed offline, to be held against those that were logged",
    "Replay.type": "which kind of source: files, or sql with `url` and `query`",
    "Replay.path": "a file, a glob or a folder of Parquet, CSV or JSON, with the model's `columns.id`",
    "Replay.where": "an SQL condition that picks the rows",
    "Replay.tolerance": "numbers further apart than this differ; relative to the offline value where that is larger than "
    "1",
    "Replay.tolerances": "by feature: another tolerance",
    "Replay.threshold": "at most this share of the records may differ",
    "Replay.min_rows": "below so many records with an offline row nothing is said",
    "Retraining.on": "the checks whose breach is evidence; they must be configured",
    "Retraining.evidence": "how long a breach must last",
    "Retraining.guards": "what may forbid it, see *Guards*; one that is left out has its default",
    "Retraining.trigger": "how it is asked for, see *Triggers*",
    "Retraining.follow": "how it is followed to its end",
    "Evidence.windows": "so many windows in a row must be breached",
    "Follow.timeout": "after which a retraining that brought no new version is given up",
    "trigger.type": "which kind of trigger",
    "trigger webhook.url": "where to",
    "trigger webhook.secret": "signs the request after Standard Webhooks",
    "trigger webhook.headers": "headers to send; their values are treated as secrets",
    "trigger webhook.timeout": TIMEOUT,
    "Lineage.type": "which registry",
    "Lineage.url": "where it is",
    "Lineage.name": "the model's name there",
    "Lineage.alias": "the alias that is deployed",
    "Slo.name": "its name",
    "Slo.objective": "the share that must be good",
    "Slo.under": "good is faster than this; left out, good is without an error",
    "Slo.window": "over so long a time",
    # alerting
    "Alerting.evaluator": "`prometheus`: the daemon only exposes, and listens on `/v1/alerts`",
    "Alerting.receivers": "who can be told, see *Receivers*",
    "Alerting.routes": "who is told of what; the first that matches wins, and without one everybody is",
    "Alerting.rules": "by name: what is different about a shipped rule, see [alerts](alerts.md)",
    "Route.match": "labels the alert must have, `alertname` and `severity` among them",
    "Route.to": "receivers by name",
    "Route.repeat": "after which what still fires is told again; left out, 4h",
    "RuleOverride.severity": "another severity",
    "RuleOverride.for": "how long a breach must last before it fires",
    "receiver.type": "which kind of receiver",
    "receiver.name": "what routes call it",
    "receiver slack.url": "the incoming webhook",
    "receiver slack.timeout": TIMEOUT,
    "receiver webhook.url": "where to",
    "receiver webhook.secret": "signs the request after Standard Webhooks",
    "receiver webhook.headers": "headers to send; their values are treated as secrets",
    "receiver webhook.timeout": TIMEOUT,
    "Grafana.url": "where Grafana is",
    "Grafana.token": "a service account's token",
    "Grafana.folder": "the folder for dashboards and rules",
    "Grafana.prometheus_url": "the Prometheus that Grafana reads, as Grafana reaches it",
    "MetricsOptions.features": "at most so many features a model as series; the number left out is itself a metric",
    "MetricsOptions.bins": "whether rows are counted by bin as they arrive: so that Prometheus can compute PSI over any range",
}
USED: set[str] = set()


class Page:
    """The page as it grows."""

    def __init__(self) -> None:
        self.schema = schema()
        self.lines = [HEAD]

    def named(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.schema if name == "" else self.schema["$defs"][name]
        return found

    def section(self, title: str, name: str, *, level: int = 2) -> None:
        self.table(f"{'#' * level} {title}", self.named(name), name)

    def table(self, title: str, made: dict[str, Any], meanings: str, *, leave_out: tuple[str, ...] = ()) -> None:
        self.lines += [title, ""]
        if text := " ".join(made.get("description", "").split()):
            self.lines += [_escaped(text), ""]
        rows = list(self.rows(made, meanings, leave_out))
        if rows:
            self.lines += ["| key | type | default | meaning |", "|---|---|---|---|", *rows, ""]

    def rows(self, made: dict[str, Any], meanings: str, leave_out: tuple[str, ...]) -> Iterator[str]:
        needed = set(made.get("required", []))
        for part in made.get("allOf", []):
            needed |= {one["required"][0] for one in part.get("oneOf", [])}
        for key, about in made.get("properties", {}).items():
            if key in leave_out or (key.endswith("_file") and key.removesuffix("_file") in made["properties"]):
                continue
            text = self.meaning(f"{meanings}.{key}", about)
            if f"{key}_file" in made["properties"]:
                text += f" (or `{key}_file`)"
            default = "**needed**" if key in needed else _default(about)
            yield f"| `{key}` | {self.kind(about)} | {default} | {text} |"

    def meaning(self, place: str, about: dict[str, Any]) -> str:
        said = about.get("description", "")
        planned = f"; *{NOT_YET}*" if said == NOT_YET else ""
        if place in MEANINGS:
            USED.add(place)
            return MEANINGS[place] + planned
        generated = said.startswith(("a duration,", "a ratio,", "a size,")) or not said
        if generated or planned:
            raise SystemExit(f"expected a description of {place}: give its field a description, or say it in MEANINGS")
        return _escaped(said)

    def kind(self, about: dict[str, Any]) -> str:
        """The type of a value in a word or two."""
        if "$ref" in about:
            found = self.named(about["$ref"].rpartition("/")[2])
            return self.kind(found) if "enum" in found else "section"
        if about.get("writeOnly"):
            return "secret"
        if "enum" in about:
            return " \\| ".join(f"`{value}`" for value in about["enum"])
        if "const" in about:
            return f"`{about['const']}`"
        for key in ("anyOf", "oneOf"):
            kinds = dict.fromkeys(self.kind(one) for one in about.get(key, []) if one.get("type") != "null")
            if kinds:
                return " or ".join(kinds)
        for said in ("duration", "ratio", "size"):
            if about.get("description", "").startswith(f"a {said},") or _is_default_of(said, about):
                return said
        if about.get("type") == "array":
            inner = self.kind(about.get("items", about.get("prefixItems", [{}])[0]))
            return "list of sections" if inner == "section" else f"list of {inner}"
        words = {
            "string": "text",
            "integer": "whole number",
            "number": "number",
            "boolean": "true or false",
            "object": "section",
        }
        return words.get(about.get("type") if isinstance(about.get("type"), str) else "", "any value")

    def plugins(self, title: str, kind: str, places: dict[str, Any], text: str, *, level: int = 2) -> None:
        """The plug-ins of a kind: what all of them have, and what each one has of its own."""
        self.lines += [f"{'#' * level} {title}", "", text, ""]
        for name, made in places.items():
            self.table(
                f"{'#' * (level + 1)} {kind}: {name}", made, f"{kind} {name}", leave_out=("type", *_SHARED[kind])
            )
        if registry.PLANNED[kind]:
            names = ", ".join(f"`{name}`" for name in sorted(registry.PLANNED[kind]))
            self.lines += [f"*Not available yet*: {names}.", ""]


_SHARED = {
    "probe": ("name", "every"),
    "source": ("mature", "expire"),
    "receiver": ("name",),
    "trigger": (),
    "check": (),
}


def _is_default_of(said: str, about: dict[str, Any]) -> bool:
    return said == "ratio" and about.get("type") == ["number", "string"]


def _default(about: dict[str, Any]) -> str:
    found = about.get("default")
    if found is None or found in ("", [], {}):
        return ""
    return f"`{found if isinstance(found, str) else json.dumps(found)}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _of_type(made: dict[str, Any]) -> dict[str, Any]:
    return {one["properties"]["type"]["const"]: one for one in made["oneOf"]}


def build() -> str:
    """The page's text."""
    page = Page()
    app, model = page.named("App")["properties"], page.named("Model")["properties"]
    page.section("The file", "")
    for title, name in (("store", "Store"), ("auth", "Auth"), ("auth.tokens[]", "Token"), ("apps[]", "App")):
        page.section(f"`{title}`", name)
    page.table("## Probes: `apps[].probes[]`", page.named("ProbeSection"), "probe")
    page.plugins(
        "Kinds of probes", "probe", _of_type(app["probes"]["items"]), "What each kind has beside these.", level=3
    )
    page.section("`expect` of an HTTP probe", "Expectation", level=4)
    page.section("`expect.json`", "JsonExpectation", level=4)
    for name in ("scrape", "process"):
        page.table(f"## `apps[].{name}`", app[name]["anyOf"][0], name)
    page.section("`apps[].slos[]` (not available yet)", "Slo")
    page.section("`apps[].models[]`", "Model")
    page.section("`columns`", "Columns", level=3)
    page.section("`features.<name>`", "Feature", level=3)
    page.section("`windows`", "Windows", level=3)
    page.lines += ["Windows counted in rows (`{rows: 1000, every: 500}`): *not available yet*.", ""]
    sources = {**_of_type(model["reference"]["anyOf"][0]), **_of_type(model["predictions"]["anyOf"][0])}
    page.table("### Sources: `reference`, `predictions`, `labels`", page.named("SourceSection"), "source")
    page.plugins("Kinds of sources", "source", sources, "What each kind has beside its type.", level=4)
    page.table("#### Beside these, for `labels`", page.named("LabelSection"), "labels", leave_out=("type",))
    checks = {name: made["anyOf"][0] for name, made in model["checks"]["properties"].items()}
    page.plugins(
        "Checks: `checks.<name>`", "check", checks, "Only those named run. `{}` means the values shown here.", level=3
    )
    page.section("`statistics` of the drift check", "ByKind", level=4)
    page.section("`statistics` of the multivariate check", "BySubject", level=4)
    page.section("`false_alarms` of a check", "FalseAlarms", level=4)
    page.section("`replay` of the skew check", "Replay", level=4)
    _retraining(page)
    page.section("`lineage` (not available yet)", "Lineage", level=3)
    _alerting(page)
    page.section("`grafana`", "Grafana")
    page.section("`metrics`", "MetricsOptions")
    if unused := sorted(set(MEANINGS) - USED):
        raise SystemExit(f"expected meanings of keys that are there, got {', '.join(unused)}")
    return "\n".join(page.lines).rstrip() + "\n"


def _retraining(page: Page) -> None:
    page.section("`retraining`", "Retraining", level=3)
    page.section("`evidence`", "Evidence", level=4)
    page.section("`follow`", "Follow", level=4)
    made = page.named("Retraining")["properties"]
    rows = []
    for name in registry.known("guard"):
        about, module = made["guards"]["properties"][name], registry.load("guard", name)
        text, default = " ".join(module.Options.__doc__.split()), module.DEFAULT
        is_time = name == "cooldown"
        shown = f"{default / 3600:g}h" if is_time else json.dumps(default)
        rows.append(
            f"| `{name}` | {'duration' if is_time else page.kind({'type': about['type']})} | `{shown}` | {text} |"
        )
    title = "#### Guards: `retraining.guards.<name>`"
    page.lines += [
        title,
        "",
        "None is off by being left out.",
        "",
        "| key | type | default | meaning |",
        "|---|---|---|---|",
    ]
    page.lines += [*rows, f"| `approval` | `none` | `none` | who must agree; anything else is *{NOT_YET}* |", ""]
    page.table("#### Triggers: `retraining.trigger`", page.named("TypeSection"), "trigger")
    page.plugins(
        "Kinds of triggers", "trigger", _of_type(made["trigger"]), "What each kind has beside its type.", level=5
    )


def _alerting(page: Page) -> None:
    page.section("`alerting`", "Alerting")
    page.section("`routes[]`", "Route", level=3)
    page.section("`rules.<name>`", "RuleOverride", level=3)
    receivers = _of_type(page.named("Alerting")["properties"]["receivers"]["items"])
    page.table("### Receivers: `receivers[]`", page.named("NamedSection"), "receiver")
    page.plugins("Kinds of receivers", "receiver", receivers, "What each kind has beside these.", level=4)


if __name__ == "__main__":
    PAGE.write_text(build(), encoding="utf-8")
    print(f"wrote {PAGE}")
