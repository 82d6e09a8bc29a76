"""A stand-in for Grafana: a real server that keeps what it is given and lets nothing pass that its OpenAPI data forbids.

Stricter than Grafana where Grafana would silently ignore: an unknown key in a body is refused. `faults` collects every
departure from the specification, on either side; a test ends by finding it empty.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema

SPEC = json.loads((Path(__file__).parent / "grafana-openapi-used.json").read_text(encoding="utf-8"))
TOKEN = "glsa_the-right-token"


class Refused(Exception):
    def __init__(self, code: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.body = code, {"message": message, **more}


def _strict(schema: Any) -> Any:
    """The definitions with unknown keys forbidden."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _strict(value) for key, value in schema.items()}
    if found.get("type") == "object" and "properties" in found:
        found.setdefault("additionalProperties", False)
    return found


STRICT = {name: _strict(schema) for name, schema in SPEC["definitions"].items()}


def problems(schema: dict[str, Any], value: Any, *, strict: bool) -> list[str]:
    definitions = STRICT if strict else SPEC["definitions"]
    validator = jsonschema.Draft4Validator({**schema, "definitions": definitions})
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in validator.iter_errors(value)]


class Grafana:
    """What the server knows."""

    def __init__(self) -> None:
        self.folders: dict[str, dict[str, Any]] = {}
        self.datasources: dict[str, dict[str, Any]] = {}
        self.dashboards: dict[str, dict[str, Any]] = {}
        self.groups: dict[tuple[str, str], dict[str, Any]] = {}
        self.provenance: dict[tuple[str, str], str] = {}
        self.writes: list[str] = []
        self.faults: list[str] = []
        self.forbidden = False
        self.org_id = 1

    # --- folders

    def getFolders(self, _body: Any) -> Any:
        return [{"id": place, **folder} for place, folder in enumerate(self.folders.values(), 1)]

    def createFolder(self, body: dict[str, Any]) -> Any:
        if body["uid"] in self.folders or any(body["title"] == one["title"] for one in self.folders.values()):
            raise Refused(409, "a folder with the same name already exists")
        self.folders[body["uid"]] = {"uid": body["uid"], "title": body["title"]}
        return {
            **self.folders[body["uid"]],
            "id": len(self.folders),
            "url": f"/dashboards/f/{body['uid']}",
            "version": 1,
        }

    # --- data sources

    def addDataSource(self, body: dict[str, Any]) -> Any:
        if any(body["name"] == one["name"] for one in self.datasources.values()):
            raise Refused(409, "data source with the same name already exists")
        self.datasources[body["uid"]] = {**body, "id": len(self.datasources) + 1, "orgId": self.org_id, "version": 1}
        return {
            "datasource": self.datasources[body["uid"]],
            "id": 1,
            "message": "Datasource added",
            "name": body["name"],
        }

    def getDataSourceByUID(self, _body: Any, uid: str) -> Any:
        if uid not in self.datasources:
            raise Refused(404, "Data source not found")
        return {**self.datasources[uid], "readOnly": False, "typeLogoUrl": "", "secureJsonFields": {}}

    def updateDataSourceByUID(self, body: dict[str, Any], uid: str) -> Any:
        self.datasources[uid] = {**self.datasources[uid], **body}
        return {"datasource": self.datasources[uid], "id": 1, "message": "Datasource updated", "name": body["name"]}

    # --- dashboards

    def getDashboardByUID(self, _body: Any, uid: str) -> Any:
        if uid not in self.dashboards:
            raise Refused(404, "Dashboard not found")
        kept = self.dashboards[uid]
        return {
            "dashboard": copy.deepcopy(kept["dashboard"]),
            "meta": {"folderUid": kept["folderUid"], "provisioned": False},
        }

    def postDashboard(self, body: dict[str, Any]) -> Any:
        board, folder = body["dashboard"], body.get("folderUid", "")
        if folder and folder not in self.folders:
            raise Refused(400, "folder not found")
        if board.get("id") is not None or not isinstance(board.get("schemaVersion"), int):
            raise Refused(400, "bad dashboard: expected id null and a schemaVersion")
        before = self.dashboards.get(board["uid"])
        if before is not None and not body.get("overwrite"):
            raise Refused(412, "The dashboard has been changed by someone else", status="version-mismatch")
        for uid, other in self.dashboards.items():
            if uid != board["uid"] and other["folderUid"] == folder and other["dashboard"]["title"] == board["title"]:
                raise Refused(412, "A dashboard with the same name in the folder already exists", status="name-exists")
        version = before["dashboard"]["version"] + 1 if before else 1
        kept = {**board, "id": len(self.dashboards) + 1, "version": version}
        self.dashboards[board["uid"]] = {"dashboard": kept, "folderUid": folder}
        slug = board["title"].lower().replace(" ", "-")
        answer = {"id": kept["id"], "uid": board["uid"], "url": f"/d/{board['uid']}", "status": "success"}
        return {**answer, "version": version, "slug": slug, "title": board["title"], "folderUid": folder}

    # --- rules

    def GetAlertRuleGroup(self, _body: Any, FolderUID: str, Group: str) -> Any:
        if (FolderUID, Group) not in self.groups:
            raise Refused(404, "rule group not found")
        return copy.deepcopy(self.groups[FolderUID, Group])

    def PutAlertRuleGroup(self, body: dict[str, Any], FolderUID: str, Group: str) -> Any:
        if FolderUID not in self.folders:
            raise Refused(404, "folder not found")
        if body["interval"] <= 0 or body["interval"] % 10:
            raise Refused(400, "interval should be non-zero and divided exactly by scheduler interval: 10")
        if self.provenance.get((FolderUID, Group), "api") != "api":
            raise Refused(409, "cannot change provenance from 'file' to 'api'")
        others = [r for key, group in self.groups.items() if key != (FolderUID, Group) for r in group["rules"]]
        for rule in body["rules"]:
            self._check_rule(rule, [*others, *(other for other in body["rules"] if other is not rule)])
        rules = [
            {**rule, "orgID": self.org_id, "id": place, "provenance": "api", "updated": "2026-01-01T00:00:00Z"}
            for place, rule in enumerate(copy.deepcopy(body["rules"]), 1)
        ]
        self.groups[FolderUID, Group] = {**body, "title": Group, "folderUid": FolderUID, "rules": rules}
        self.provenance[FolderUID, Group] = "api"
        return self.groups[FolderUID, Group]

    def _check_rule(self, rule: dict[str, Any], others: list[dict[str, Any]]) -> None:
        steps = {step["refId"]: step for step in rule["data"]}
        if rule["condition"] not in steps:
            raise Refused(400, f"condition {rule['condition']} does not exist")
        for step in rule["data"]:
            span = step["relativeTimeRange"]
            if step["datasourceUid"] == "__expr__":
                if step["model"]["expression"] not in steps:
                    raise Refused(400, f"{step['refId']} reads {step['model']['expression']}, which does not exist")
            elif step["datasourceUid"] not in self.datasources:
                raise Refused(400, f"data source {step['datasourceUid']} does not exist")
            elif span["from"] <= span["to"]:
                raise Refused(400, "invalid relative time range")
        if any(other.get("uid") == rule.get("uid") for other in others):
            raise Refused(400, "rule UID is not unique")
        if any(other["title"] == rule["title"] and other["folderUID"] == rule["folderUID"] for other in others):
            raise Refused(400, "a rule with this title exists in the folder")


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def _serve(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        raw = self.rfile.read(length)
        try:
            status, body = 200, self._answer(json.loads(raw) if raw else None)
        except Refused as refused:
            status, body = refused.status, refused.body
        except Exception as error:
            self.server.grafana.faults.append(f"{self.command} {self.path}: {error!r}")
            status, body = 500, {"message": "the stand-in failed"}
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve

    def _answer(self, body: Any) -> Any:
        grafana, root = self.server.grafana, self.server.root
        path = urlsplit(self.path).path
        if not path.startswith(f"{root}/api/"):
            raise Refused(404, "Not found")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise Refused(401, "Invalid API key")
        if grafana.forbidden:
            raise Refused(403, "You'll need additional permissions to perform this action")
        operation, values = self._operation(path.removeprefix(f"{root}/api"))
        found = next((one["schema"] for one in operation["parameters"] if one["in"] == "body"), None)
        if found is not None:
            if self.headers.get("Content-Type", "").split(";")[0] != "application/json":
                grafana.faults.append(f"{self.command} {path}: expected JSON")
            wrong = problems(found, body, strict=True)
            grafana.faults += [f"{self.command} {path}: body: {one}" for one in wrong]
            if wrong:
                raise Refused(400, "bad request data")
        answer = getattr(grafana, operation["operationId"])(body, **values)
        if self.command != "GET":
            grafana.writes.append(f"{self.command} {path}")
        schema = operation["responses"]["200"]["schema"]
        grafana.faults += [f"{self.command} {path}: answer: {one}" for one in problems(schema, answer, strict=False)]
        return answer

    def _operation(self, path: str) -> tuple[dict[str, Any], dict[str, str]]:
        parts = path.strip("/").split("/")
        for template, methods in SPEC["paths"].items():
            wanted = template.strip("/").split("/")
            if len(wanted) != len(parts) or self.command.lower() not in methods:
                continue
            pairs = list(zip(wanted, parts, strict=True))
            if all(want.startswith("{") or want == part for want, part in pairs):
                return methods[self.command.lower()], {w[1:-1]: unquote(p) for w, p in pairs if w.startswith("{")}
        self.server.grafana.faults.append(f"{self.command} {path}: not in the specification")
        raise Refused(404, "Not found")

    def log_message(self, *_args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, grafana: Grafana, root: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.grafana, self.root = grafana, root


@contextmanager
def serving(grafana: Grafana, root: str = "") -> Iterator[str]:
    """The stand-in's address while this lasts; `root` is its sub-path."""
    server = _Server(grafana, root)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}{root}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
