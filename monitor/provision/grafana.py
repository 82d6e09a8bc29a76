"""Puts folder, data source, dashboards and alert rules into a Grafana: as often as you like, and only what differs.

Objects are known by names and uids of our own, and nothing else is ever deleted. Rules get the provenance `api`: they
cannot be edited by hand there, and the next run puts them back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.config import Config
from monitor.config.model import Grafana
from monitor.provision import ProvisionError, grafana_files
from monitor.provision.files import difference, put
from monitor.provision.grafana_rules import DATASOURCE_UID, INTERVAL_SECONDS, groups
from monitor.provision.prometheus import adjusted
from monitor.records import fingerprint

TIMEOUT_SECONDS = 10.0
_OURS = "anchorwatch-"
_MESSAGE = "anchorwatch provision grafana"


@dataclass(frozen=True, slots=True)
class Step:
    """One object: what is there (None: nothing), what is to be, and how to get from the one to the other."""

    what: str
    before: Any
    after: Any
    apply: Callable[[], object]

    @property
    def differs(self) -> bool:
        """Whether something has to be done. What the server adds of its own does not count."""
        return self.before is None or _seen(self.before, self.after) != self.after

    def shown(self) -> list[str]:
        """The difference, for a dry run."""
        if self.before is None:
            return []
        before, after = (_text(value) for value in (_seen(self.before, self.after), self.after))
        return difference(before, after, self.what)


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True)


def _seen(there: Any, wanted: Any) -> Any:
    """What is there, cut down to what we say something about."""
    if isinstance(there, dict) and isinstance(wanted, dict):
        return {key: _seen(there[key], wanted[key]) for key in wanted if key in there}
    if isinstance(there, list) and isinstance(wanted, list) and len(there) == len(wanted):
        return [_seen(a, b) for a, b in zip(there, wanted, strict=True)]
    return there


def provision(
    config: Config, *, output: Path | None, dry_run: bool, timeout_seconds: float = TIMEOUT_SECONDS
) -> tuple[list[str], bool]:
    """Bring a Grafana to what this configuration asks for; or write the files for its provisioning from a folder.

    Args:
        config: the configuration, whose `grafana` says where and as whom.
        output: write files into this folder instead of calling Grafana.
        dry_run: only show what would change.
        timeout_seconds: how long Grafana may take to answer, each time.

    Returns:
        Lines to print, and whether anything changed or would change.

    Raises:
        ProvisionError: there is no `grafana` in the configuration, or Grafana did not do what was asked.
    """
    if config.grafana is None:
        raise ProvisionError("expected a section grafana in the configuration, got none")
    if output is not None:
        return put(output, _files(config, config.grafana), dry_run=dry_run)
    from monitor.provision.grafana_server import Server  # its libraries are only needed here

    target = _Target(Server(config.grafana.url, config.grafana.token, timeout_seconds), config, config.grafana)
    lines: list[str] = []
    changed = False
    for prepare in target.steps():
        step = prepare()
        if not step.differs:
            lines.append(f"{step.what}: unchanged")
            continue
        changed = True
        verb = "create" if step.before is None else "update"
        if dry_run:
            lines += [f"{step.what}: would {verb}", *step.shown()]
        else:
            step.apply()
            lines.append(f"{step.what}: {verb}d")
    return lines, changed


def _files(config: Config, grafana: Grafana) -> dict[str, str]:
    built = grafana_files.build(
        adjusted(config.alerting.rules), prometheus_url=grafana.prometheus_url, title=grafana.folder, config=config
    )
    return grafana_files.with_dashboards(built)


class _Target:
    """What is to be put into one Grafana. The folder comes first; its uid is needed by the rest."""

    def __init__(self, server: Any, config: Config, grafana: Grafana) -> None:
        self._server, self._config, self._grafana = server, config, grafana
        self._folder_uid = ""

    def steps(self) -> list[Callable[[], Step]]:
        """Each looks at what is there when it is called, so that they build on each other."""
        boards = [self._dashboard(board) for board in grafana_files.dashboards().values()]
        rules = groups(adjusted(self._config.alerting.rules), self._config)
        return [self._folder, self._datasource, *boards, *(self._rules(name, found) for name, found in rules.items())]

    def _folder(self) -> Step:
        api, title = self._server.api, self._grafana.folder
        known = self._server.ask("read the folders", api.folder.get_all_folders)
        found = next((item for item in known if item.get("title") == title), None)
        self._folder_uid = str(found["uid"]) if found else folder_uid(title)

        def create() -> None:
            self._server.ask(f"create the folder {title!r}", api.folder.create_folder, title, self._folder_uid)

        return Step(f"folder {title!r}", found, {"title": title}, create)

    def _datasource(self) -> Step:
        api, name = self._server.api, grafana_files.DATASOURCE_NAME
        wanted = grafana_files.datasource(self._grafana.prometheus_url)
        found = self._there(f"read the data source {name!r}", api.datasource.get_datasource_by_uid, DATASOURCE_UID)

        def apply() -> None:
            if found is None:
                self._server.ask(f"create the data source {name!r}", api.datasource.create_datasource, wanted)
                return
            options = {**(found.get("jsonData") or {}), **wanted["jsonData"]}
            kept = {key: found[key] for key in ("isDefault", "basicAuth", "basicAuthUser") if key in found}
            body = {**kept, **wanted, "jsonData": options}
            update = api.datasource.update_datasource_by_uid
            self._server.ask(f"update the data source {name!r}", update, DATASOURCE_UID, body)

        return Step(f"data source {name!r}", found, wanted, apply)

    def _dashboard(self, board: dict[str, Any]) -> Callable[[], Step]:
        def look() -> Step:
            api, title = self._server.api, board["title"]
            found = self._there(f"read the dashboard {title!r}", api.dashboard.get_dashboard, board["uid"])
            wanted = {"dashboard": board, "meta": {"folderUid": self._folder_uid}}
            payload = {
                "dashboard": {**board, "id": None},
                "folderUid": self._folder_uid,
                "overwrite": True,
                "message": _MESSAGE,
            }

            def apply() -> None:
                self._server.ask(f"save the dashboard {title!r}", api.dashboard.update_dashboard, payload)

            return Step(f"dashboard {title!r}", found, wanted, apply)

        return look

    def _rules(self, name: str, rules: list[dict[str, Any]]) -> Callable[[], Step]:
        def look() -> Step:
            calls = self._server.api.alertingprovisioning
            found = self._there(f"read the rule group {name!r}", calls.get_rule_group, self._folder_uid, name)
            # A group is replaced whole, so what others have put into it has to be carried along.
            foreign = [
                rule for rule in (found or {}).get("rules", []) if not str(rule.get("uid", "")).startswith(_OURS)
            ]
            place = {"folderUID": self._folder_uid, "ruleGroup": name}
            wanted: dict[str, Any] = {
                "title": name,
                "folderUid": self._folder_uid,
                "interval": INTERVAL_SECONDS,
                "rules": [*({**rule, **place} for rule in rules), *foreign],
            }

            def apply() -> None:
                # The API asks for an organisation and takes the token's.
                body = {**wanted, "rules": [{"orgID": 1, **rule} for rule in wanted["rules"]]}
                self._server.ask(f"put the rule group {name!r}", calls.update_rule_group, self._folder_uid, name, body)

            return Step(f"rule group {name!r}", found if (found or {}).get("rules") else None, wanted, apply)

        return look

    def _there(self, attempt: str, call: Callable[..., Any], *arguments: Any) -> Any:
        from monitor.provision.grafana_server import Missing

        try:
            return self._server.ask(attempt, call, *arguments)
        except Missing:
            return None


def folder_uid(title: str) -> str:
    """A folder's uid, made from its title; stable, so that two runs name the same folder.

    >>> folder_uid("Anchorwatch")
    'anchorwatch'
    >>> folder_uid("Team Ä/B")
    'anchorwatch-team-b-69acfd52'
    """
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return slug if slug == "anchorwatch" else f"anchorwatch-{slug[:18]}-{fingerprint(title)[:8]}"
