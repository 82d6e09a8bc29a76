"""Alertmanager's configuration: what people are told, and the way back to the daemon that may lead to a retraining."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from monitor.bundled import folder
from monitor.config import Config
from monitor.options import Secret
from monitor.provision import ProvisionError
from monitor.provision.files import put

FILE = "alertmanager.yml"
TEMPLATE = Path("templates/slack.tmpl")
DAEMON = "http://anchorwatch:9877"
TOKEN_FILE = "/etc/alertmanager/secrets/anchorwatch-token"  # noqa: S105 (where the token is, not the token)
SLACK_FILE = "/etc/alertmanager/secrets/slack-webhook"
_HEAD = """\
# Built by monitor/provision/alertmanager.py. Valid for Alertmanager 0.25 and newer. Breaches of models also go back to
# the daemon, whose guards decide whether a retraining follows; it takes each alert once, however often it is told.
"""
_BREACHES = ['alertname=~"Model.+"', 'alertname!~".+NoData"']
_FOLLOWS_FROM_AN_OUTAGE = 'alertname=~"AppProbeNoData|AppScrapeNoData|AppProcessNoData|Model.+NoData"'


def build(*, daemon: str = DAEMON, token_file: str | None = TOKEN_FILE, slack_file: str | None = SLACK_FILE) -> str:
    """The whole configuration file.

    Args:
        daemon: where the daemon is reached, without a path.
        token_file: the file, as Alertmanager sees it, with the daemon's token; None where the daemon needs none.
        slack_file: the file with the address of Slack's incoming webhook; None leaves Slack out.
    """
    people = "team" if slack_file else "nobody"
    config: dict[str, Any] = {
        "global": {"resolve_timeout": "5m"},
        "templates": [str(TEMPLATE.parent / "*.tmpl")],
        "route": {
            "receiver": people,
            "group_by": ["alertname", "app", "model"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "24h",
            "routes": [
                {
                    "receiver": "anchorwatch",
                    "matchers": _BREACHES,
                    "continue": True,
                    "group_wait": "0s",
                    "group_interval": "1m",
                },
                {"receiver": people, "matchers": ['severity="critical"'], "repeat_interval": "4h"},
                # A route that has matched keeps its alert from the top one, so people need one of their own here.
                {"receiver": people},
            ],
        },
        "inhibit_rules": [
            {"source_matchers": [_is("AppDown")], "target_matchers": [_FOLLOWS_FROM_AN_OUTAGE], "equal": ["app"]},
            {"source_matchers": [_is("AnchorwatchDown")], "target_matchers": [_is("AnchorwatchUnreachable")]},
        ],
        "receivers": [_people(people, slack_file), _daemon(daemon, token_file)],
    }
    return _HEAD + yaml.safe_dump(config, sort_keys=False, width=1000, default_flow_style=False)


def _is(name: str) -> str:
    return f'alertname="{name}"'


def _people(name: str, slack_file: str | None) -> dict[str, Any]:
    if not slack_file:
        return {"name": name}
    slack = {
        "api_url_file": slack_file,
        "send_resolved": True,
        "title": '{{ template "anchorwatch.slack.title" . }}',
        "title_link": "{{ .CommonAnnotations.runbook_url }}",
        "text": '{{ template "anchorwatch.slack.text" . }}',
        "color": '{{ template "anchorwatch.slack.color" . }}',
        "fallback": '{{ template "anchorwatch.slack.title" . }}',
    }
    return {"name": name, "slack_configs": [slack]}


def _daemon(daemon: str, token_file: str | None) -> dict[str, Any]:
    webhook: dict[str, Any] = {"url": f"{daemon}/v1/alerts", "send_resolved": True, "max_alerts": 0}
    if token_file:
        webhook["http_config"] = {"authorization": {"type": "Bearer", "credentials_file": token_file}}
    return {"name": "anchorwatch", "webhook_configs": [webhook]}


def _reachable(listen: str) -> str:
    """The daemon's address for Alertmanager: where it listens, or its usual name where that is everywhere."""
    host, _, port = listen.rpartition(":")
    if host.strip("[]") in ("0.0.0.0", "::", "*"):  # noqa: S104 (compared, not listened on)
        return f"http://anchorwatch:{port}"
    return f"http://{host}:{port}"


def _token_file(config: Config) -> str | None:
    """The file of a token that may act: what Alertmanager says can start a retraining."""
    tokens = config.auth.tokens
    acting = [token for token in tokens if token.role in ("operate", "admin") and token.token.path is not None]
    if acting:
        return str(acting[0].token.path)
    return TOKEN_FILE if tokens else None


def _slack_file(config: Config) -> str | None:
    """The file of the first Slack receiver's address, where there is one; its text never goes into a configuration."""
    for receiver in config.alerting.receivers:
        if receiver.type == "slack":
            url = getattr(receiver.options, "url", None)
            path = url.path if isinstance(url, Secret) else None
            return str(path) if path else SLACK_FILE
    return None


def provision(config: Config, *, output: Path | None, dry_run: bool) -> tuple[list[str], bool]:
    """Write Alertmanager's configuration and the Slack template into a folder.

    Args:
        config: the configuration: where the daemon listens, its tokens' files and its Slack receiver are taken from it.
        output: the folder; None gives the configuration's text as the lines.
        dry_run: only show what would change.

    Returns:
        Lines to print, and whether anything changed or would change.

    Raises:
        ProvisionError: the folder cannot be read or written.
    """
    text = build(daemon=_reachable(config.listen), token_file=_token_file(config), slack_file=_slack_file(config))
    if output is None:
        return text.splitlines(), False
    try:
        template = (folder("alerts") / TEMPLATE).read_text(encoding="utf-8")
    except OSError as error:
        raise ProvisionError(f"cannot read the Slack template that was shipped: {error}") from None
    return put(output, {FILE: text, str(TEMPLATE): template}, dry_run=dry_run)
