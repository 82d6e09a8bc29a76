"""Files in an S3 bucket, on moto's server: read as local ones are, no more of them than a window needs, and told when not to be had."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from monitor.config import ConfigError, load
from monitor.profile import Reference
from monitor.source import SourceError, files
from monitor.source._left_out import Reason
from tests.servers import answer, closed_port, cut, garbage, hang, serving
from tests.source.buckets import SECRET, Bucket, bucket
from tests.source.growing import FORMS, anew, day, frame, left_out, rows, settle, source, watched, write
from tests.source.worlds import DAY, START

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("nothing_known")]


@pytest.fixture(scope="module")
def store() -> Iterator[Bucket]:
    with bucket() as found:
        yield found


@pytest.fixture(autouse=True)
def _no_cloud_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def filled(store: Bucket, tmp_path: Path, form: str, days: int, prefix: str) -> None:
    for number in range(days):
        store.put(write(frame(number), tmp_path / "made" / f"{number}.{form}"), f"{prefix}/{number:02}.{form}")


def remote(tmp_path: Path, store: Bucket, path: str, **more: Any) -> files.FilesSource:
    predictions = {"storage": store.storage, **more.pop("predictions", {})}
    return source(tmp_path, f"s3://watch/{path}", predictions=predictions, **more)


@pytest.mark.parametrize("form", FORMS)
def test_a_bucket_is_read_as_a_folder_is(store: Bucket, tmp_path: Path, form: str) -> None:
    prefix = f"same-{form}"
    filled(store, tmp_path, form, 4, prefix)
    here = source(tmp_path, f"made/*.{form}", predictions={"where": "x > -0.5"})
    columns = here.columns(day(1), here.model)
    for path in (prefix, f"{prefix}/", f"{prefix}/*.{form}", f"{prefix}/01.{form}"):
        there = remote(tmp_path, store, path, predictions={"where": "x > -0.5"})
        assert there.columns(day(1), there.model) == columns
        (expected,), (found,) = (each.rows(day(1), columns, limit=100).values() for each in (here, there))
        assert found.times.tolist() == expected.times.tolist()
        for name, values in expected.features.items():
            assert found.features[name].tolist() == pytest.approx(values.tolist(), nan_ok=True), name
    assert remote(tmp_path, store, prefix).newest_event(START + 2 * DAY) == here_newest(tmp_path, form)


def here_newest(tmp_path: Path, form: str) -> float | None:
    return source(tmp_path, f"made/*.{form}").newest_event(START + 2 * DAY)


@pytest.mark.parametrize("form", FORMS)
def test_labels_and_references_may_be_remote_too(store: Bucket, tmp_path: Path, form: str) -> None:
    prefix = f"labels-{form}"
    made = frame(0).assign(label=lambda f: f.prediction)
    store.put(write(made, tmp_path / f"reference.{form}"), f"{prefix}/reference.{form}")
    filled(store, tmp_path, form, 2, f"{prefix}/log")
    told = made[["event_id", "label"]]
    store.put(write(told, tmp_path / f"labels.{form}"), f"{prefix}/labels.{form}")
    section = {"type": "files", "storage": store.storage}
    looked = remote(
        tmp_path, store, f"{prefix}/log",
        labels={**section, "path": f"s3://watch/{prefix}/labels.{form}", "mature": "1d"},
        reference={
            **section, "path": f"s3://watch/{prefix}/reference.{form}",
            "versions": f"s3://watch/{prefix}/{{version}}.{form}",
        },
    )  # fmt: skip
    assert sum(len(batch.times) for batch in looked.labelled(day(0), numeric=False)) == 40
    options = looked.model.reference.options
    key = files.reference_key(options, tmp_path)
    found = files.read_reference(options, looked.model, tmp_path, fingerprint=key)
    assert isinstance(found, Reference)
    assert found.rows == 40
    assert files.for_version(options, "reference", tmp_path) is not None
    assert files.for_version(options, "7", tmp_path) is None
    assert sum(len(b.times) for b in files.reference_outcomes(options, looked.model, tmp_path, (), numeric=False)) == 40
    store.put(write(made.iloc[:30], tmp_path / f"reference.{form}"), f"{prefix}/reference.{form}")
    assert files.reference_key(options, tmp_path) != key


@pytest.mark.parametrize("form", FORMS)
def test_a_window_fetches_its_own_files_alone(store: Bucket, tmp_path: Path, form: str) -> None:
    """Neither the other files nor, of Parquet, the footers that are known are fetched again."""
    prefix = f"cost-{form}"
    filled(store, tmp_path, form, 12, prefix)
    assert rows(remote(tmp_path, store, prefix), day(5)) == 40
    since = store.asked()
    anew()
    assert rows(remote(tmp_path, store, prefix), day(6)) == 40
    assert set(store.got(since)) == {f"{prefix}/06.{form}"}
    store.put(write(frame(3, rows=50), tmp_path / "made" / f"3.{form}"), f"{prefix}/03.{form}")
    store.system().rm(f"watch/{prefix}/09.{form}")
    since = store.asked()
    anew()
    looked = remote(tmp_path, store, prefix)
    assert [rows(looked, day(number)) for number in (3, 6, 9)] == [50, 40, 0]
    assert set(store.got(since)) == {f"{prefix}/06.{form}", f"{prefix}/03.{form}"}


def test_row_groups_of_other_times_are_not_fetched(
    store: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pd.concat([frame(number, rows=20_000) for number in range(5)]).sort_values("timestamp")
    path = tmp_path / "big.parquet"
    made.to_parquet(path, row_group_size=20_000, compression=None)
    store.put(path, "groups/big.parquet")
    looked = remote(tmp_path, store, "groups")
    rows(looked, day(1))
    fetched: list[int] = []
    system = looked._catalog().files[0].store.system  # type: ignore[union-attr]
    fetch = system.cat_file

    def counted(*arguments: Any, **more: Any) -> bytes:
        found: bytes = fetch(*arguments, **more)
        fetched.append(len(found))
        return found

    monkeypatch.setattr(system, "cat_file", counted)
    assert rows(remote(tmp_path, store, "groups"), day(2)) == 20_000
    assert 0 < sum(fetched) < path.stat().st_size / 10  # one group in five, and of that the times and the versions


def test_half_written_and_broken_objects_stop_no_other(store: Bucket, tmp_path: Path) -> None:
    filled(store, tmp_path, "jsonl", 2, "halves")
    system = store.system()
    system.pipe_file("watch/halves/torn.jsonl", (tmp_path / "made" / "0.jsonl").read_bytes()[:-10])
    system.pipe_file("watch/halves/broken.jsonl", b'{"event_id": \n')
    system.pipe_file("watch/halves/_temporary/x.jsonl", (tmp_path / "made" / "0.jsonl").read_bytes())
    looked = remote(tmp_path, store, "halves")
    assert rows(looked, day(0)) == 40 + 39
    assert {name: each.reason for name, each in left_out(looked).items()} == {"broken.jsonl": Reason.UNREADABLE}
    filled(store, tmp_path, "parquet", 1, "footless")
    system.pipe_file("watch/footless/torn.parquet", (tmp_path / "made" / "0.parquet").read_bytes()[:-10])
    looked = remote(tmp_path, store, "footless")
    assert rows(looked, day(0)) == 40
    assert left_out(looked)["torn.parquet"].reason is Reason.HALF_WRITTEN


# --- what cannot be reached ---------------------------------------------------------------------------------------


def failure(tmp_path: Path, path: str = "s3://watch/nothing/here", **storage: Any) -> tuple[str, float]:
    started = time.monotonic()
    with pytest.raises(SourceError) as caught:
        rows(source(tmp_path, path, predictions={"storage": storage}), day(0))
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.__cause__)
    return str(caught.value), time.monotonic() - started


def test_what_is_not_there_is_said(store: Bucket, tmp_path: Path) -> None:
    said, _ = failure(tmp_path, **store.storage)
    assert said == "expected a file, found nothing at s3://watch/nothing/here"
    said, _ = failure(tmp_path, "s3://no-such-bucket/log/*.csv", **store.storage)
    assert said == "expected a file, found nothing at s3://no-such-bucket/log/*.csv"


def test_without_credentials_that_is_said(store: Bucket, tmp_path: Path) -> None:
    said, seconds = failure(tmp_path, endpoint_url=store.url, timeout="1s")
    assert "credentials" in said
    assert seconds < 20


@pytest.mark.parametrize("behaviour", [hang, cut, garbage, answer(500), answer(403), answer(200, "<html>")])
def test_a_server_that_is_none_is_an_error_in_time(tmp_path: Path, behaviour: Any) -> None:
    with serving(behaviour) as server:
        said, seconds = failure(
            tmp_path, endpoint_url=server.url, access_key="k", secret_key=SECRET, timeout="500ms", region="us-east-1"
        )
    assert "s3://watch/nothing/here" in said
    assert seconds < 20


def test_an_endpoint_that_is_down_is_an_error_in_time(tmp_path: Path) -> None:
    said, seconds = failure(
        tmp_path, endpoint_url=f"http://127.0.0.1:{closed_port()}", access_key="k", secret_key=SECRET, timeout="1s"
    )
    assert "s3://watch/nothing/here: " in said
    assert seconds < 20


def test_a_secret_may_stand_in_a_file(store: Bucket, tmp_path: Path) -> None:
    filled(store, tmp_path, "csv", 1, "secret")
    (tmp_path / "key").write_text(f"{SECRET}\n")
    storage = {name: value for name, value in store.storage.items() if name != "secret_key"}
    storage["secret_key_file"] = str(tmp_path / "key")
    looked = source(tmp_path, "s3://watch/secret/00.csv", predictions={"storage": storage})
    assert rows(looked, day(0)) == 40
    (tmp_path / "key").unlink()
    with pytest.raises(SourceError, match=r"storage\.secret_key: cannot read .*key"):
        rows(looked, day(0))


def test_credentials_are_found_in_the_environment(
    store: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(store, tmp_path, "csv", 1, "environment")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", store.storage["access_key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    storage = {"endpoint_url": store.url}
    assert rows(source(tmp_path, "s3://watch/environment", predictions={"storage": storage}), day(0)) == 40


# --- packages and configuration -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "package", "extra"),
    [("s3://b/x", "s3fs", "s3"), ("gs://b/x", "gcsfs", "gcs"), ("abfs://c@a.dfs.core.windows.net/x", "adlfs", "azure")],
)
def test_a_missing_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, package: str, extra: str
) -> None:
    import sys

    for name in [name for name in sys.modules if name.split(".")[0] == package] + [package]:
        monkeypatch.setitem(sys.modules, name, None)
    scheme = path.partition("://")[0]
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, scheme, raising=False)  # type: ignore[attr-defined]
    with pytest.raises(
        SourceError, match=rf"expected the package {package} for {scheme}://: install anchorwatch\[{extra}\]"
    ):
        rows(source(tmp_path, path), day(0))


@pytest.mark.parametrize("path", ["gs://bucket/log", "abfs://container/log"])
def test_other_stores_are_opened_as_they_ask_to_be(tmp_path: Path, path: str) -> None:
    """There is no server of theirs here: what is shown is that a dead endpoint is an error in words, in time."""
    storage: dict[str, Any] = {"endpoint_url": f"http://127.0.0.1:{closed_port()}", "timeout": "1s"}
    if path.startswith("gs"):
        storage["anonymous"] = True
    else:
        storage |= {"account": "watch", "secret_key": "aHVudGVyMg==", "endpoint_url": "127.0.0.1"}
    said, seconds = failure(tmp_path, path, **storage)
    assert path in said
    assert seconds < 60


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (
            {"path": "http://host/log"},
            "expected a path on this machine, s3://, gs:// or abfs://, got 'http://host/log'",
        ),
        ({"path": "s3://"}, "expected a path on this machine, s3://, gs:// or abfs://, got 's3://'"),
        ({"path": "s3://me:hunter2@bucket/log"}, "expected a path without a user and a password"),
        ({"path": "log", "storage": {"region": "x"}}, "expected storage beside a remote path"),
        ({"path": "log", "format": "csv", "delta_version": 3}, "expected delta_version beside format: delta"),
        ({"path": "log", "log": {"id_from": "x"}}, "expected log beside format: sagemaker, tf_serving, mlflow"),
        ({"path": "s3://b/x", "storage": {"timeout": "0s"}}, "expected a duration above 0"),
        ({"path": "s3://b/x", "storage": {"access_key": "a", "access_key_file": "b"}}, "expected either access_key or"),
    ],
)
def test_what_does_not_fit_is_said_when_it_is_configured(
    tmp_path: Path, section: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        watched(tmp_path, predictions=section)
    assert expected in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_daemon_asks_a_child_what_a_remote_reference_is(store: Bucket, tmp_path: Path) -> None:
    """Its own process loads neither fsspec nor what is below it, and asks again only after a while."""
    import subprocess
    import sys

    filled(store, tmp_path, "parquet", 1, "apart")
    section = {"type": "files", "path": "s3://watch/apart/00.parquet", "storage": store.storage}
    watched(tmp_path, reference={**section, "versions": "s3://watch/apart/{version}.parquet"})
    program = f"""
import sys
from pathlib import Path
if __name__ == "__main__":
    import monitor.app
    from monitor.config import load
    from monitor.source._reference import reference_key
    ((_, model),) = load(Path({str(tmp_path / "anchorwatch.yml")!r})).config.models()
    keys = [reference_key(model, version, Path({str(tmp_path)!r})) for version in ("1", "00", "1", "00")]
    assert keys[0] == keys[2] and keys[1] == keys[3] and keys[1][1] == "00", keys
    print(*[name for name in ("fsspec", "s3fs", "aiobotocore", "pyarrow", "duckdb") if name in sys.modules])
"""
    path = tmp_path / "program.py"
    path.write_text(program)
    ended = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.split()) == (0, []), ended.stderr


def test_a_configuration_never_shows_a_secret(tmp_path: Path, store: Bucket) -> None:
    looked = remote(tmp_path, store, "any")
    assert SECRET not in repr(looked.model)
    assert SECRET not in repr(load(tmp_path / "anchorwatch.yml"))
    settle()


@pytest.mark.parametrize("command", [["check"], ["backtest"]])
def test_the_commands_say_of_a_bucket_what_they_say_of_the_same_files_here(
    store: Bucket, tmp_path: Path, command: list[str]
) -> None:
    import json
    import subprocess
    import sys

    import yaml

    prefix = f"commands-{command[0]}"
    parts = {"reference": frame(0, rows=2000), "log/1": frame(1, rows=300), "log/2": frame(2, rows=300).assign(x=5.0)}
    made = pd.concat(parts.values())
    parts["labels"] = pd.DataFrame({"event_id": made.event_id, "label": made.prediction})
    said = []
    for root, more in ((str(tmp_path), {}), (f"s3://watch/{prefix}", {"storage": store.storage})):
        for name, part in parts.items():
            path = write(part, tmp_path / f"{name}.csv")
            store.put(path, f"{prefix}/{name}.csv")
        section = {
            "name": "demand", "task": "binary", "windows": {"size": "1d", "every": "1d", "lateness": "0s"},
            "reference": {"type": "files", "path": f"{root}/reference.csv", **more},
            "predictions": {"type": "files", "path": f"{root}/log", **more},
            "labels": {"type": "files", "path": f"{root}/labels.csv", "mature": "1h", **more},
            "checks": {"drift": {}, "quality": {}, "performance": {}},
        }  # fmt: skip
        config = tmp_path / ("here.yml" if not more else "there.yml")
        config.write_text(
            yaml.safe_dump({"data_dir": f"data-{len(said)}", "apps": [{"name": "shop", "models": [section]}]})
        )
        arguments = [sys.executable, "-m", "monitor.cli", *command, "-c", str(config), "--format", "json"]
        ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert ended.returncode in (0, 1), ended.stderr
        assert SECRET not in ended.stdout + ended.stderr
        said.append(json.loads(ended.stdout))
    here, there = said
    assert _rounded(here["findings"]) == _rounded(there["findings"])
    assert [each for each in there["findings"] if each["verdict"] == "breached"]
    assert [each for each in there["findings"] if each["check"] == "performance" and each["rows"]]


def _rounded(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What does not hang on drawing lots, which goes by the reference's path, nor on the last digits of sums."""
    names = ("check", "statistic", "feature", "version", "verdict", "rows", "reference_rows", "window")
    return [
        {name: each[name] for name in names}
        | {"value": None if each["value"] is None else float(f"{each['value']:.9g}")}
        for each in told
    ]
