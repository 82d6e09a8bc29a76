"""The wheel is all one needs: what travels with the code is in it, and is found away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TOP = Path(__file__).resolve().parents[2]
CONFIG = """
apps:
  - name: shop
    models:
      - {name: demand, task: regression, reference: {type: files, path: reference.parquet}}
alerting:
  rules:
    ModelFeatureDrift: {severity: critical}
"""


@dataclass(frozen=True)
class Built:
    sdist: Path
    wheel: Path


def run(*command: str | Path, cwd: Path) -> str:
    """What a command says, without anything in the environment that would lead it back to the checkout."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_CONSTRAINT")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The source distribution of the checkout, and the wheel built from that."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, TOP, cwd=out)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return Built(sdist, wheel)


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that has the wheel, and our libraries, but not the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", "env", cwd=folder)
    python = folder / "env" / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "-q",
        "--no-index",
        "--no-deps",
        built.wheel,
        cwd=folder,
    )
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    # A folder added by a .pth file is not searched for further ones, so the checkout's editable install stays out.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    where = run(python, "-c", "import monitor; print(monitor.__file__)", cwd=folder)
    assert Path(where.strip()).is_relative_to(folder)
    return python.parent


def tracked(folder: str) -> list[str]:
    """The files of a folder of the checkout that belong to it, as paths from its top."""
    found = (path for path in (TOP / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(str(path.relative_to(TOP)) for path in found if "data" not in path.parts)


@pytest.mark.parametrize("folder", ["alerts", "dashboards", "examples"])
def test_every_file_of_the_folder_is_in_the_wheel(built: Built, folder: str) -> None:
    names = set(zipfile.ZipFile(built.wheel).namelist())
    expected = {f"monitor/_bundled/{path}" for path in tracked(folder)}
    assert expected
    assert expected <= names


def test_nothing_else_is_in_the_wheel(built: Built) -> None:
    """No test, no byte code, no folder beside the package itself."""
    names = zipfile.ZipFile(built.wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"monitor", "anchorwatch"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_the_source_distribution_has_what_a_build_and_the_tests_need(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"pyproject.toml", "constraints.txt", "Makefile", "LICENSE", "README.md", "tests/conftest.py"}
    assert needed | set(tracked("alerts")) <= names
    assert not [name for name in names if name.startswith((".venv", ".git/", "data/"))]


@pytest.mark.parametrize("folder", ["alerts", "dashboards", "examples"])
def test_an_installation_finds_its_own_folders(installed: Path, folder: str, tmp_path: Path) -> None:
    program = f"from monitor.bundled import folder; print(folder({folder!r}))"
    place = Path(run(installed / "python", "-c", program, cwd=tmp_path).strip())
    assert place.is_relative_to(installed.parent)
    assert [path for path in place.rglob("*") if path.is_file()]


def test_an_installation_provisions_prometheus(installed: Path, tmp_path: Path) -> None:
    """`--dry-run` writes nothing; without it the rules stand in the folder, and promtool accepts them."""
    if not (TOP / "monitor" / "cli.py").is_file() and not (TOP / "monitor" / "cli").is_dir():
        pytest.skip("monitor.cli is still to come")
    (tmp_path / "anchorwatch.yml").write_text(CONFIG, encoding="utf-8")
    provision = (installed / "anchorwatch", "provision", "prometheus", "-c", "anchorwatch.yml", "--output", "out")
    assert "anchorwatch.rules.yml" in run(*provision, "--dry-run", cwd=tmp_path)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    run(*provision, cwd=tmp_path)
    rules = sorted((tmp_path / "out").rglob("*.y*ml"))
    assert "ModelFeatureDrift" in "".join(path.read_text(encoding="utf-8") for path in rules)
    run("promtool", "check", "rules", *rules, cwd=tmp_path)
