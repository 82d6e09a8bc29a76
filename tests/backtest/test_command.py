"""`anchorwatch backtest`: its result, its exit codes, its progress, and its end by Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from monitor import cli
from tests.backtest.histories import Hour, at, files_model, retraining, write_config, write_history
from tests.e2e.daemon import ROOT
from tests.e2e.test_real_data import FINDING_KEYS

HOURS: list[Hour | float | None] = [1, 9, 9, 1]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_history(tmp_path, HOURS)
    return write_config(tmp_path, files_model(retraining=retraining()))


def ran(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main(["backtest", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_json_is_that_of_the_specification(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, "-c", config, "--format", "json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert set(found) == {"windows", "findings", "alerts", "retrainings"}
    assert found["windows"] == 4
    assert len(found["findings"]) == 4
    assert set(found["findings"][0]) >= FINDING_KEYS
    [alert] = found["alerts"]
    assert set(alert) >= {"name", "labels", "severity", "started_at", "resolved_at"}
    assert (alert["started_at"], alert["resolved_at"], alert["severity"]) == (at(2), at(4), "critical")
    [asked] = found["retrainings"]
    assert set(asked) >= {"at", "decision", "reason"}
    assert (asked["at"], asked["decision"]) == (at(3), "requested")


def test_the_table_tells_it_to_a_person(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, "-c", config)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"judged from {at(1)} to {at(4)}"
    assert lines[2].split() == ["shop", "demand", "performance", "4", "2", "2", "0", "0"]
    [alert] = [line.split() for line in lines if line.startswith("ModelPerformanceDegraded")]
    assert alert[-5:] == ["critical", at(2), at(4), "9", "5"]
    assert [line.split()[:4] for line in lines if "requested" in line] == [[at(3), "shop", "demand", "requested"]]
    assert lines[-1] == "would have alerted once in 0.1 days, and asked for a retraining once"


def test_the_result_goes_to_a_file(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "result.json"
    assert ran(capsys, "-c", config, "--format", "json", "--output", path) == (0, "", "")
    assert json.loads(path.read_text())["windows"] == 4


def test_a_history_without_predictions_is_said_to_have_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_history(tmp_path, [None])
    config = write_config(tmp_path, files_model())
    warning = "warning: nothing to replay of shop/demand: it has no predictions\n"
    assert ran(capsys, "-c", config) == (0, "nothing to replay\n", warning)
    code, out, _ = ran(capsys, "-c", config, "--format", "json")
    assert (code, json.loads(out)) == (0, {"windows": 0, "findings": [], "alerts": [], "retrainings": []})


def test_what_failed_is_said_and_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The other model goes on, and its result is there."""
    write_history(tmp_path, HOURS)
    config = write_config(tmp_path, files_model(), files_model("gone"))
    code, out, err = ran(capsys, "-c", config)
    assert code == 2
    assert err.startswith("anchorwatch: shop/gone: performance: expected a file, found nothing at ")
    assert err.count("\n") == 1
    assert "ModelPerformanceDegraded" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "soon"], "anchorwatch: --from: expected an ISO 8601 time, got 'soon'"),
        (
            ["--from", "2026-02-01", "--to", "2026-01-01"],
            "anchorwatch: --to: expected a time after --from, got '2026-01-01'",
        ),
        (["--model", "price"], "anchorwatch: --model: expected one of demand, got 'price'"),
        (["--output", "nowhere/x"], "anchorwatch: --output: expected a file that can be written, got nowhere/x"),
        (["--openmetrics", "/"], "anchorwatch: --openmetrics: expected a file that can be written, got /"),
        (
            ["--compare", "b.yml", "--openmetrics", "x"],
            "anchorwatch: --openmetrics: expected one configuration, got two with --compare",
        ),
        (["--compare", "b.yml"], "b.yml: expected a configuration file, cannot read it: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_read(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert ran(capsys, "-c", config, *arguments) == (2, "", message + "\n")


def test_another_configuration_is_compared(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A higher threshold would have raised nothing; a later one is matched with the one it is later than."""
    strict = {"performance": {"metrics": ["mae"], "thresholds": {"mae": 20}, "min_labels": 10}}
    other = write_config(tmp_path, files_model(checks=strict), name="other.yml")
    code, out, _ = ran(capsys, "-c", config, "--compare", other, "--format", "json")
    found = json.loads(out)
    assert (code, [alert["name"] for alert in found["only_base"]]) == (0, ["ModelPerformanceDegraded"])
    assert (found["only_other"], found["both"], found["other"]["alerts"]) == ([], [], [])
    assert len(found["base"]["findings"]) == len(found["other"]["findings"]) == 4
    rules = {"rules": {"ModelPerformanceDegraded": {"for": "30m"}}}
    later = write_config(tmp_path, files_model(), name="later.yml", alerting=rules)
    code, out, _ = ran(capsys, "-c", config, "--compare", later)
    assert code == 0
    [line] = [line for line in out.splitlines() if line.endswith("30m later")]
    assert at(2) in line


# --- on a terminal ----------------------------------------------------------------------------------------------------


class Terminal:
    """The command with a terminal for its standard error."""

    def __init__(self, *arguments: object) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "monitor.cli", "backtest", *map(str, arguments)],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.said = ""

    def read(self, until: str = "") -> str:
        """What it says, up to a text, or to its end."""
        while not until or until not in self.said:
            try:
                piece = os.read(self._ours, 4096)
            except OSError:  # how a terminal says that nobody is at its other end any more
                break
            self.said += piece.decode()
        return self.said

    def end(self) -> tuple[int, str]:
        """Its exit code and its standard output."""
        reading = threading.Thread(target=self.read, daemon=True)  # or it would wait for its terminal
        reading.start()
        out, _ = self.process.communicate(timeout=60)
        reading.join(10)
        os.close(self._ours)
        return self.process.returncode, out.decode()


@pytest.mark.slow
def test_progress_is_one_line_that_is_gone_at_the_end(config: Path) -> None:
    terminal = Terminal("-c", config)
    code, out = terminal.end()
    assert code == 0
    assert "would have alerted once" in out
    assert "judging windows: 4 of 4, 1 alerts, 0:00 left" in terminal.said
    assert terminal.said.endswith("\r\x1b[K")
    assert "\n" not in terminal.said
    quiet = Terminal("-c", config, "--quiet")
    assert quiet.end()[0] == 0
    assert quiet.said == ""


@pytest.mark.slow
def test_ctrl_c_ends_it_at_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    write_history(tmp_path, [1.0] * 30_000)  # long enough not to end by itself first
    config = write_config(tmp_path, files_model())
    result = tmp_path / "result.json"
    terminal = Terminal("-c", config, "--format", "json", "--output", result, "--openmetrics", tmp_path / "series.txt")
    assert "judging windows" in terminal.read("judging windows: 1")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == (130, "")
    assert "Traceback" not in terminal.said
    assert terminal.said.endswith("\r\x1b[K")
    assert not result.exists()
    assert not (tmp_path / "series.txt").exists()


def test_a_fault_that_is_met_in_every_window_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    import logging

    from monitor.cli.backtesting import _Once

    once: Any = _Once()
    log = logging.getLogger("test")
    records = [
        log.makeRecord(
            "test",
            logging.ERROR,
            "",
            0,
            "check failed",
            (),
            (ValueError, ValueError(text), None),
            None,
            {"check": check},
        )
        for text, check in (("a", "drift"), ("a", "drift"), ("b", "drift"), ("a", "quality"))
    ]
    assert [once.filter(record) for record in records] == [True, False, True, True]
