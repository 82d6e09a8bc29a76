"""Every command in the documentation is run, as it stands there; what cannot be run here is listed with its reason."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.e2e.daemon import ROOT, Daemon, free_port
from tests.provision.grafana_stand_in import TOKEN, Grafana, serving

pytestmark = pytest.mark.slow

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
RUN_ELSEWHERE = {
    "make run": "tests/e2e/test_demo.py runs what it runs, tests/structure/test_makefile.py holds the target",
    "make test": "it is what runs this",
}
BREACHES_MAY_EXIT_1 = ("anchorwatch check",)
NOT_BESIDE_A_DAEMON = ("anchorwatch store compact",)  # refuses, as a daemon runs here; tests/store has it done


def commands(page: Path) -> list[str]:
    """The commands of a page's sh blocks, whole: one that goes over several lines is one."""
    found: list[str] = []
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        lines = re.sub(r"\s+#.*$", "", block, flags=re.MULTILINE).splitlines()
        for line in lines:
            if found and found[-1].count("'") % 2:
                found[-1] += "\n" + line
            elif line.strip():
                found.append(line.strip())
    return [command for command in found if command not in RUN_ELSEWHERE]


ALL = [(page, command) for page in PAGES for command in commands(page)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder such as the README's reader has: its ten-line configuration, a reference, and a Grafana to write to."""
    folder = tmp_path_factory.mktemp("reader")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    config = re.search(r"^```yaml\n(# anchorwatch\.yml\n.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert config is not None, "the README shows a whole anchorwatch.yml"
    assert len(config[1].splitlines()) <= 12, "the smallest useful file is about ten lines"
    (folder / "anchorwatch.yml").write_text(f"listen: 127.0.0.1:{free_port()}\n{config[1]}", encoding="utf-8")
    rows = {"temp": [place / 500 for place in range(500)], "hour": [float(place % 24) for place in range(500)]}
    pq.write_table(pa.table(rows), folder / "reference.parquet")
    return folder


@pytest.fixture(scope="module")
def watch(folder: Path) -> Iterator[Daemon]:
    daemon = Daemon(folder / "anchorwatch.yml")
    daemon.start()
    yield daemon
    daemon.clean_up()


@pytest.fixture(scope="module")
def grafana(folder: Path, watch: Daemon) -> Iterator[None]:
    """The configuration gains a Grafana once the daemon runs: it needs none."""
    path = folder / "anchorwatch.yml"
    with serving(Grafana()) as url:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        config["grafana"] = {"url": url, "token": TOKEN, "prometheus_url": "http://127.0.0.1:9090"}
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        yield


@pytest.mark.parametrize(("page", "command"), ALL, ids=[f"{p.name}: {c.splitlines()[0][:60]}" for p, c in ALL])
def test_the_command_does_what_the_page_says(
    page: Path, command: str, folder: Path, watch: Daemon, grafana: None
) -> None:
    if command == "anchorwatch run":
        assert watch.process is not None
        assert watch.process.poll() is None, "the daemon runs on the README's configuration"
        return
    # Of a user's shell, not of ours, whose constraints are in another folder.
    environment = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    here = command.replace("http://127.0.0.1:9877", watch.url).replace("/etc/", f"{folder}/etc/")
    ended = subprocess.run(
        ["bash", "-ec", here],
        cwd=folder,
        env={**environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if command.startswith(NOT_BESIDE_A_DAEMON):
        assert (ended.returncode, ended.stderr.rstrip().endswith("is in use by another daemon")) == (2, True)
        return
    allowed = (0, 1) if command.startswith(BREACHES_MAY_EXIT_1) else (0,)
    assert ended.returncode in allowed, f"{ended.stdout}\n{ended.stderr}"
    if command.startswith("curl"):
        assert '"accepted":1,"rejected":[]' in ended.stdout


def test_the_readme_has_commands() -> None:
    """The test above cannot pass for want of anything to run."""
    assert len(commands(ROOT / "README.md")) >= 6
