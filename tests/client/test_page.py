"""docs/client.md is true: every block of code on it is run, and its tables name what there is."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from monitor.client import AsgiMiddleware, Client, Dropped, Limits, RequestMetrics
from monitor.config import load
from tests.client.stand_in import arrived, taking
from tests.client.test_asgi import asgi
from tests.client.test_metrics import observe, samples
from tests.client.test_wsgi import wsgi
from tests.servers import Server, serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
URL = "http://127.0.0.1:9877"


def block(name: str) -> str:
    (found,) = [text for _, text in BLOCKS if text.startswith(f"# {name}\n")]
    return found


@pytest.fixture
def watch() -> Iterator[Server]:
    with serving(taking()) as server:
        yield server


def written(text: str, folder: Path, watch: Server) -> Path:
    path = folder / "program.py"
    path.write_text(text.replace(URL, watch.url), encoding="utf-8")
    return path


def run(path: Path) -> str:
    ended = subprocess.run(
        [sys.executable, path],
        cwd=path.parent,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@contextmanager
def module(path: Path) -> Iterator[dict[str, Any]]:
    found = runpy.run_path(str(path))
    try:
        yield found
    finally:
        found["client"].close()


def test_every_block_is_run_by_one_of_these_tests() -> None:
    first = [text.splitlines()[0] for _, text in BLOCKS]
    assert first == [
        "from monitor.client import Client", "# shop_flask.py", "# shop_fastapi.py", "# nightly.py", "# anchorwatch.yml", "# shop_own_page.py",
    ]  # fmt: skip


def test_the_first_steps(tmp_path: Path, watch: Server) -> None:
    said = run(written(BLOCKS[0][1], tmp_path, watch))
    assert said.startswith("Stats(queued=2, ")
    assert (arrived(watch), arrived(watch, "labels")) == (["order-17"], ["order-17"])


def test_flask(tmp_path: Path, watch: Server) -> None:
    with module(written(block("shop_flask.py"), tmp_path, watch)) as shop:
        with wsgi(shop["app"]) as url:
            assert requests.post(f"{url}/predict/o-1", json={"temp": 0.5}, timeout=10).json() == {"forecast": 220.0}
            page = requests.get(f"{url}/metrics", timeout=10).text
        assert 'http_requests_total{method="POST",handler="/predict/<order>",status="200"} 1\n' in page
        assert shop["client"].flush(10)
    assert arrived(watch) == ["o-1"]


def test_fastapi(tmp_path: Path, watch: Server) -> None:
    with module(written(block("shop_fastapi.py"), tmp_path, watch)) as shop:
        with asgi(shop["app"]) as url:
            assert requests.post(f"{url}/predict/o-1", json={"temp": 0.5}, timeout=10).json() == {"forecast": 220.0}
            page = requests.get(f"{url}/metrics", timeout=10).text
        assert 'http_requests_total{method="POST",handler="/predict/{order}",status="200"} 1\n' in page
        assert arrived(watch) == ["o-1"], "its end has flushed"


def test_a_batch_job(tmp_path: Path, watch: Server) -> None:
    run(written(block("nightly.py"), tmp_path, watch))
    assert arrived(watch) == [f"order-{number}" for number in range(30_000)]


def test_a_page_of_ones_own(tmp_path: Path, watch: Server) -> None:
    with module(written(block("shop_own_page.py"), tmp_path, watch)) as shop, wsgi(shop["app"]) as url:
        assert requests.get(f"{url}/metrics", timeout=10).status_code == 404
        names = {name for name, _ in samples(requests.get(f"{url}/internal/metrics", timeout=10).text)}
    assert {"shop_orders_total", "http_requests_total", "anchorwatch_client_records_total"} <= names


def test_the_configuration_is_one(tmp_path: Path) -> None:
    path = tmp_path / "anchorwatch.yml"
    path.write_text(block("anchorwatch.yml"), encoding="utf-8")
    (app,) = load(path).config.apps
    assert app.scrape is not None


def test_the_tables_name_what_there_is() -> None:
    metrics = RequestMetrics()
    observe(metrics)
    with Client(None) as client:
        shown = set(re.findall(r"^# TYPE (\w+)", metrics.page(client), re.MULTILINE))
    assert set(re.findall(r"`((?:http|anchorwatch_client)_\w+)[{`]", PAGE)) == shown
    assert set(Limits._fields) <= set(re.findall(r"`(\w+)`", PAGE))
    assert {reason.value for reason in Dropped} <= set(re.findall(r"`(\w+)`", PAGE))
    usual = Limits()
    for told in ("20,000, 16 MiB", "256 KiB", "500, 512 KiB"):
        assert f"| {told} |" in PAGE
    assert (usual.queue_records, usual.queue_bytes >> 20, usual.record_bytes >> 10) == (20_000, 16, 256)
    assert (usual.batch_records, usual.batch_bytes >> 10) == (500, 512)
    assert f"| `delay_seconds` | {usual.delay_seconds:g} |" in PAGE
    assert f"| `timeout_seconds` | {usual.timeout_seconds:g} |" in PAGE
    assert f"| `longest_pause_seconds` | {usual.longest_pause_seconds:g} |" in PAGE
    assert f"| `exit_seconds` | {usual.exit_seconds:g} |" in PAGE
    assert "answer `GET /metrics`" in PAGE
    assert AsgiMiddleware.__init__.__kwdefaults__["metrics_path"] == "/metrics"
