"""The description of what the daemon answers: whole, valid, and true of what it really answers."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from openapi_core import Config, OpenAPI
from openapi_core.contrib.requests import RequestsOpenAPIRequest, RequestsOpenAPIResponse
from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families

from monitor.app.daemon import Daemon
from monitor.records import Alert, AlertState, CheckResult, Finding, Severity, Verdict, Window
from monitor.store import history
from monitor.store import watch as kept
from monitor.web import create_app
from monitor.web._openapi import document, statuses
from monitor.web._operations import OPERATIONS
from tests.web.test_doors import Ask, bearer, built, served

AT = 1_795_161_600.0
PREDICTION = {
    "model": "demand",
    "event_id": "a",
    "timestamp": AT,
    "features": {"temp": 1.0, "season": None},
    "prediction": 2.0,
}
APPS = [{"name": "shop", "models": [{"name": "demand", "task": "regression"}]}]
TOKENS = ("read", "ingest", "operate")


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that has something of everything to tell; none of its jobs runs, so that it stays as it is."""
    made = built(tmp_path_factory.mktemp("told"), apps=APPS)
    made.store.write(_tell)
    yield made
    made.stop()


def _tell(connection: Any) -> None:
    window = Window(AT, AT + 86_400.5)
    finding = Finding(
        "shop", "drift", "psi", Verdict.BREACHED, "far apart", window, model="demand", version="v1", reference_version="v0", feature="temp",
        segment="winter", value=0.5, threshold=0.2, rows=700, reference_rows=900, p_value=0.01, calibration="g_test", material=0.1, impact=2.5,
        baseline=0.0, interval=(0.1, 0.9), parts={"a": 1.0}, caution="few rows",
    )  # fmt: skip
    endless = replace(finding, statistic="kl", value=float("inf"), parts={"a": float("nan")})
    result = CheckResult(
        "shop", "demand", "drift", Verdict.BREACHED, "1 breached", window, 700, (finding, endless), history=(finding,)
    )
    kept.save_result(connection, result, now=AT)
    history.keep(connection, result, AT)
    labels = {"app": "shop", "model": "demand"}
    alert = Alert(
        "AnchorwatchDataDrift",
        labels,
        AlertState.FIRING,
        Severity.WARNING,
        AT,
        AT + 1,
        None,
        AT + 2.5,
        "it drifts",
        "",
        0.5,
        0.2,
    )
    kept.save_alerts(connection, "shop", "demand", "drift", [alert])
    kept.add_retraining(
        connection,
        kept.KeptRetraining(
            "k1", "shop", "demand", "v1", "requested", "because", "drift", AT, AT + 60, None, None, {"commit": "abc"}
        ),
    )
    kept.write_ledger(connection, "alert", app="shop", model=None, at=AT, data={"state": "firing"})


@pytest.fixture(scope="module")
def ask(watch: Daemon) -> Iterator[Ask]:
    with served(create_app(watch)) as asking:
        asking("POST", "/v1/predictions", json=[{**PREDICTION, "model": "nobody's"}])
        yield asking


@pytest.fixture(scope="module")
def described(ask: Ask) -> OpenAPI:
    # It takes text of other types for bytes.
    config = Config(extra_media_type_deserializers={"application/openmetrics-text": lambda held, **_: held.decode()})
    return OpenAPI.from_dict(ask("GET", "/openapi.json").json(), config=config)


def test_every_route_is_described_and_nothing_else_is(watch: Daemon) -> None:
    routes = {(route.path, method.lower()) for route in create_app(watch).routes for method in route.methods - {"HEAD"}}
    paths = document(lambda _: False)["paths"]
    assert {(path, method) for path, said in paths.items() for method in said} == routes
    assert len(OPERATIONS) == len(routes)


@pytest.mark.parametrize("needed", [True, False])
def test_the_description_is_valid_and_is_made_anew_without_end(needed: bool) -> None:
    said = document(lambda _: needed)
    validate(said)
    assert document(lambda _: needed) == said
    assert json.loads(json.dumps(said)) == said


def test_every_schema_is_used_and_every_operation_has_a_name_of_its_own() -> None:
    said = document(lambda _: True)
    text = json.dumps(said)
    assert [name for name in said["components"]["schemas"] if f'"#/components/schemas/{name}"' not in text] == []
    names = [each["operationId"] for path in said["paths"].values() for each in path.values()]
    assert len(set(names)) == len(names)


def test_what_is_read_off_the_wire_is_what_is_described() -> None:
    """Made of the structures that are decoded, and of nothing that is written down a second time."""
    schemas = document(lambda _: False)["components"]["schemas"]
    assert schemas["Prediction"]["required"] == ["model", "event_id", "timestamp", "features", "prediction"]
    assert set(schemas["Prediction"]["properties"]) == {
        "model", "event_id", "timestamp", "features", "prediction", "model_version", "probability", "latency_seconds", "app",
    }  # fmt: skip
    assert set(schemas["Label"]["properties"]) == {"model", "event_id", "label", "label_timestamp", "app"}
    assert set(schemas["Finding"]["required"]) == set(Finding.__slots__)


# --- real answers -----------------------------------------------------------------------------------------------------

SAID: dict[tuple[str, str], list[tuple[dict[str, Any], int]]] = {
    ("GET", "/"): [({}, 200)],
    ("GET", "/metrics"): [({}, 200), ({"headers": {"Accept": "application/openmetrics-text"}}, 200)],
    ("GET", "/livez"): [({}, 200)],
    ("GET", "/readyz"): [({}, 503)],
    ("GET", "/openapi.json"): [({}, 200)],
    ("GET", "/v1/status"): [({}, 200)],
    ("GET", "/v1/findings"): [({}, 200), ({"params": {"model": "demand"}}, 200)],
    ("GET", "/v1/groups"): [({}, 403)],
    ("GET", "/v1/verdicts"): [({"params": {"after": 0, "check": "drift"}}, 200), ({"params": {"after": "x"}}, 400)],
    ("GET", "/v1/alerts"): [({}, 200)],
    ("GET", "/v1/retrainings"): [({}, 200)],
    ("GET", "/v1/ledger"): [({"params": {"after": 0}}, 200), ({"params": {"after": -1}}, 400)],
    ("GET", "/v1/rejected"): [({}, 200), ({"params": {"after": "x"}}, 400)],
    ("POST", "/v1/predictions"): [
        ({"json": PREDICTION}, 202), ({"json": [PREDICTION, {**PREDICTION, "model": "x"}]}, 202), ({"json": [{**PREDICTION, "model": "x"}]}, 422),
        ({"json": {**PREDICTION, "event_id": ["b", "c"]}}, 202), ({"json": 7}, 400), ({"data": "x"}, 415),
        ({"data": "x", "headers": {"Content-Type": "application/json", "Content-Encoding": "gzip"}}, 400),
        ({"data": b"," * 2_000_000, "headers": {"Content-Type": "application/json"}}, 413),
        ({"json": [{**PREDICTION, "features": {f"{at}-{name}": 1 for name in range(900)}} for at in range(2)]}, 202),
    ],
    ("POST", "/v1/labels"): [({"json": {"model": "demand", "event_id": "a", "label": 1}}, 202), ({"json": {}}, 422), ({}, 415)],
    ("POST", "/v1/cloudevents"): [
        ({"json": {"instances": [[1.0]]}, "headers": {
            "ce-id": "1", "ce-type": "org.kubeflow.serving.inference.request", "ce-inferenceservicename": "demand"}}, 202),
        ({"json": {}}, 422), ({"data": "[", "headers": {"Content-Type": "application/cloudevents-batch+json"}}, 400),
    ],
    ("POST", "/v1/rejected"): [({"json": {"kind": "predictions", "seqs": [1]}}, 200), ({"json": {}}, 400), ({"data": "{}"}, 415)],
    ("POST", "/v1/alerts"): [({"json": {"alerts": [{"status": "firing", "labels": {"alertname": "x"}}]}}, 200), ({"json": {}}, 400)],
    ("POST", "/-/reload"): [({}, 503)],
    ("PUT", "/-/reload"): [({}, 503)],
}  # fmt: skip


def test_every_operation_is_asked_below() -> None:
    assert {(each.method.upper(), each.path) for each in OPERATIONS} == set(SAID)


@pytest.mark.parametrize(("method", "path"), SAID, ids=[" ".join(each) for each in SAID])
def test_what_is_really_answered_is_as_described(ask: Ask, described: OpenAPI, method: str, path: str) -> None:
    for more, status in SAID[method, path]:
        answered = ask(method, path, **more)
        assert answered.status_code == status, answered.text
        request = RequestsOpenAPIRequest(_as_request(answered))
        if status < 400:
            described.validate_request(request)
        described.validate_response(request, RequestsOpenAPIResponse(answered))
        if (
            answered.headers["content-type"] == "application/json"
            and status < 300
            and method == "GET"
            and path != "/openapi.json"
        ):
            (held,) = [each for each in answered.json().values() if isinstance(each, list)]
            assert held, "an empty list would be true of any description"


def _as_request(answered: requests.Response) -> requests.Request:
    sent = answered.request
    base, _, query = str(sent.url).partition("?")
    params = dict(each.split("=") for each in query.split("&") if each)
    return requests.Request(sent.method, base, dict(sent.headers), data=sent.body, params=params)


def test_an_endless_number_is_null_and_no_fault(ask: Ask) -> None:
    found = {each["statistic"]: each for each in ask("GET", "/v1/findings").json()["findings"]}
    assert (found["psi"]["value"], found["kl"]["value"], found["kl"]["parts"]) == (0.5, None, {"a": None})


def test_the_wrong_shape_would_be_seen(described: OpenAPI, ask: Ask) -> None:
    answered = ask("GET", "/v1/status")
    answered._content = b'{"ready": "yes"}'
    with pytest.raises(Exception, match="not valid for schema"):
        described.validate_response(RequestsOpenAPIRequest(_as_request(answered)), RequestsOpenAPIResponse(answered))


# --- doors ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    folder = tmp_path_factory.mktemp("guarded")
    for role in TOKENS:
        (folder / role).write_text(f"{role}-token")
    tokens = [{"name": role, "role": role, "token_file": role} for role in TOKENS]
    made = built(folder, listen="0.0.0.0:9877", auth={"tokens": tokens}, apps=APPS)
    made.start()
    with served(create_app(made)) as asking:
        yield asking
    made.stop()


@pytest.mark.parametrize("operation", OPERATIONS, ids=[f"{each.method} {each.path}" for each in OPERATIONS])
def test_who_may_ask_is_as_described(guarded: Ask, operation: Any) -> None:
    said = guarded("GET", "/openapi.json", headers=bearer("read-token")).json()["paths"][operation.path][
        operation.method
    ]
    method, path = operation.method.upper(), operation.path
    without = guarded(method, path)
    if operation.role is None:
        assert "security" not in said
        assert without.status_code in (200, 503)
        return
    assert said["security"] == [{"bearer": [operation.role]}]
    for refused in (
        without,
        guarded(method, path, headers=bearer("guess")),
        guarded(method, path, headers={"Authorization": "Basic x"}),
    ):
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    rank = TOKENS.index(operation.role)
    for place, role in enumerate(TOKENS):
        status = guarded(method, path, headers=bearer(f"{role}-token")).status_code
        assert (status == 403) is (place < rank)
        assert status != 401
        assert status in statuses(operation)
        assert status == 200 or operation.path != "/-/reload" or place < rank


def test_where_no_token_is_asked_for_none_is_described(ask: Ask) -> None:
    paths = ask("GET", "/openapi.json").json()["paths"]
    asked = {(path, method) for path, said in paths.items() for method, each in said.items() if "security" in each}
    assert asked == {("/v1/groups", "get")}


@pytest.mark.parametrize(
    "path", ["/nothing", "/v1", "/v1/predictions/1", "/openapi.yaml", "/%2e%2e/etc/passwd", "/v1/\0"]
)
def test_a_path_that_is_none_is_a_problem_like_any_other(ask: Ask, path: str) -> None:
    answered = ask("GET", path)
    assert (answered.status_code, list(answered.json())) == (404, ["error"])


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/v1/predictions", "POST"), ("/v1/alerts", "GET, HEAD, POST"), ("/v1/rejected", "GET, HEAD, POST"), ("/-/reload", "POST, PUT"), ("/livez", "GET, HEAD")],
)  # fmt: skip
def test_another_method_is_told_which_there_are(ask: Ask, path: str, allowed: str) -> None:
    answered = ask("PATCH", path)
    assert (answered.status_code, answered.headers["allow"]) == (405, allowed)
    assert answered.json() == {"error": f"expected the method {allowed}, got PATCH"}


@pytest.mark.parametrize(
    "headers",
    [{"Host": "["}, {"Host": "a]b"}, {"Host": "evil.example"}, {"Origin": "http://["}, {"Origin": "null"}, {"Origin": "//"},
     {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": b"\xff"}],
    ids=str,
)  # fmt: skip
def test_a_host_or_a_page_that_is_not_ours_is_refused_however_it_is_written(ask: Ask, headers: dict[str, str]) -> None:
    answered = ask("POST", "/v1/predictions", json=PREDICTION, headers=headers)
    assert answered.status_code in ((400, 403) if headers == {"Host": b"\xff"} else (403,))


def test_a_full_answer_is_told_when_to_come_again_everywhere(watch: Daemon) -> None:
    for each in OPERATIONS:
        if each.stores:
            said = document(lambda _: False)["paths"][each.path][each.method]["responses"]["503"]
            assert said["headers"]["Retry-After"]["required"] is True


def test_the_metrics_page_counts_what_was_refused(ask: Ask) -> None:
    ask("POST", "/v1/predictions", data="x", headers={"Content-Type": "text/plain"})
    families = {family.name: family for family in text_string_to_metric_families(ask("GET", "/metrics").text)}
    reasons = {sample.labels["reason"] for sample in families["anchorwatch_ingest_requests_refused"].samples}
    assert "content_type" in reasons


def test_the_page_about_http_is_current() -> None:
    """`python scripts/http_page.py` writes it anew."""
    path = Path(__file__).parents[2] / "scripts" / "http_page.py"
    spec = importlib.util.spec_from_file_location("http_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page()
