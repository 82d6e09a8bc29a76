"""Requests made from the description, right and wrong ones, to the daemon as it is served: it answers as it is described to."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
import zstandard
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as some
from schemathesis.checks import CHECKS, load_all_checks

from monitor.web import create_app
from monitor.web._openapi import document
from tests.web.test_doors import Ask, built, served
from tests.wire.rows import as_arrow

pytestmark = pytest.mark.slow

TOKEN = "the-admins"
SOME = settings(
    max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True
)
load_all_checks()
CONFORMS = CHECKS.get_by_names([
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "missing_required_header", "unsupported_method", "allow_header_conformance",
])  # fmt: skip
# Of what is taken in the good records are kept: a request that is wrong in a part is not refused, and one that is right in its
# form may be of a model that nobody knows.
REFUSES = CHECKS.get_by_names(["negative_data_rejection", "positive_data_acceptance"])
TAKES_IN = ("/v1/predictions", "/v1/labels", "/v1/cloudevents")
PACK = {"gzip": gzip.compress, "zstd": zstandard.compress}
RECORD = {"model": "demand", "event_id": "a", "timestamp": 1.5, "features.temp": 1.0, "prediction": 2.0}

schemathesis.openapi.media_type(
    "application/vnd.apache.arrow.stream", some.just(as_arrow([RECORD])) | some.binary(max_size=50)
)

DESCRIBED = schemathesis.openapi.from_dict(document(lambda _: False))
GUARDED = schemathesis.openapi.from_dict(document(lambda _: True))


@schemathesis.serializer("application/x-ndjson", "application/ndjson")
def lines(_: Any, value: Any) -> bytes:
    return b"\n".join(json.dumps(each).encode() for each in (value if isinstance(value, list) else [value]))


def sent(ask: Ask, case: Any) -> requests.Response:
    """The answer to a case; its body is packed as it says."""
    told = case.as_transport_kwargs(base_url="http://127.0.0.1")
    names = ("method", "url", "headers", "params", "json", "data", "cookies")
    prepared = requests.Request(**{name: held for name, held in told.items() if name in names}).prepare()
    body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    if isinstance(body, bytes):
        body = PACK.get(prepared.headers.get("Content-Encoding", ""), bytes)(body)
    headers = {name: held for name, held in prepared.headers.items() if name != "Content-Length"}
    return ask(prepared.method, prepared.path_url, data=body, headers=headers)


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    folder = tmp_path_factory.mktemp("open")
    watch = built(folder, apps=[{"name": "shop", "models": [{"name": "demand", "task": "regression"}]}])
    watch.start()
    with served(create_app(watch)) as asking:
        yield asking
    watch.stop()


@DESCRIBED.parametrize()
@seed(1)
@SOME
def test_whatever_is_asked_the_answer_is_as_it_is_described(case: Any, ask: Ask) -> None:
    if case.path == "/v1/groups":  # where no token is configured, none helps
        assert sent(ask, case).status_code in (403, 405)
        return
    checks = CONFORMS if case.path in TAKES_IN else [*CONFORMS, *REFUSES]
    case.validate_response(sent(ask, case), checks=checks)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "token").write_text(TOKEN)
    tokens = [{"name": "admin", "role": "admin", "token_file": "token"}]
    watch = built(
        folder,
        listen="0.0.0.0:9877",
        auth={"tokens": tokens},
        apps=[{"name": "shop", "models": [{"name": "demand", "task": "regression"}]}],
    )
    watch.start()
    with served(create_app(watch)) as asking:
        yield asking
    watch.stop()


@GUARDED.parametrize()
@seed(1)
@settings(SOME, max_examples=4)
def test_with_tokens_too(case: Any, guarded: Ask) -> None:
    """A case has a token that was made up: it is refused; then it is sent with the right one."""
    first = sent(guarded, case)
    case.validate_response(first, checks=CONFORMS)
    if case.path not in ("/livez", "/readyz"):
        assert first.status_code in (401, 405)
    case.headers["Authorization"] = f"Bearer {TOKEN}"
    found = sent(guarded, case)
    case.validate_response(found, checks=[check for check in CONFORMS if check.__name__ != "missing_required_header"])
    assert found.status_code not in (401, 403)
