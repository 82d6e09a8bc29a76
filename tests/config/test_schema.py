"""The JSON Schema that editors use, and the commands that print it and judge a file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from monitor import registry
from monitor.config import schema
from tests.config.files import ENVIRONMENT, HERE, parsed
from tests.config.test_files import GOOD, named

TOP = HERE.parents[1]


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def errors(validator: Draft202012Validator, data: Any) -> list[str]:
    return [error.json_path for error in validator.iter_errors(data)]


def test_the_schema_is_valid(validator: Draft202012Validator) -> None:
    Draft202012Validator.check_schema(validator.schema)
    assert validator.schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("path", GOOD, ids=named)
def test_a_good_file_fits_the_schema(validator: Draft202012Validator, path: Path) -> None:
    assert errors(validator, parsed(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "apps: []",
        "apps: [{name: shop, ownr: x}]",
        "apps: [{name: shop, probes: [{type: htttp, name: x, url: 'http://h'}]}]",
        "apps: [{name: shop, probes: [{type: http, name: x}]}]",
        "apps: [{name: shop, probes: [{type: http, name: x, url: 'http://h', timout: 2s}]}]",
        "apps: [{name: shop, probes: [{type: prometheus, name: x, url: 'http://h', requests: r}]}]",
        "apps: [{name: shop, scrape: {url: 'http://h', request: x}}]",
        "apps: [{name: shop, models: [{name: m, task: guessing}]}]",
        "apps: [{name: shop, models: [{name: m, task: binary, reference: {type: ingest}}]}]",
        "apps: [{name: shop, models: [{name: m, task: binary, checks: {drfit: {}}}]}]",
        "apps: [{name: shop, models: [{name: m, task: binary, checks: {drift: {min_row: 3}}}]}]",
        "apps: [{name: shop, models: [{name: m, task: binary, retraining: {guards: {cool: 1h}, trigger: {type: webhook, url: u}}}]}]",
        "apps: [{name: shop, models: [{name: m, task: binary, retraining: {trigger: {type: webhook}}}]}]",
        "apps: [{name: shop}]\nalerting: {receivers: [{type: slack, name: a, url: u, url_file: f}]}",
        "apps: [{name: shop}]\nauth: nobody",
        "apps: [{name: shop}]\nauth: {tokens: [{name: a, role: read}]}",
        "apps: [{name: shop}]\nstore: {retention: 30}",
    ],
)
def test_a_bad_file_does_not_fit_the_schema(validator: Draft202012Validator, text: str) -> None:
    assert errors(validator, parsed(text)) != []


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("probe", ("App", "probes", "items", "oneOf")),
        ("receiver", ("Alerting", "receivers", "items", "oneOf")),
        ("trigger", ("Retraining", "trigger", "oneOf")),
        ("source", ("Model", "labels", "anyOf", 0, "oneOf")),
    ],
)
def test_the_sections_of_plugins_list_their_keys_by_type(
    validator: Draft202012Validator, kind: str, place: tuple[Any, ...]
) -> None:
    definition, key, *rest = place
    found = validator.schema["$defs"][definition]["properties"][key]
    for part in rest:
        found = found[part]
    types = {one["properties"]["type"]["const"]: one for one in found}
    assert set(types) <= set(registry.known(kind))
    assert types
    for name, one in types.items():
        options = registry.load(kind, name).Options
        assert {field.alias or key for key, field in options.model_fields.items()} <= set(one["properties"]), name


def test_checks_and_guards_are_listed_by_name(validator: Draft202012Validator) -> None:
    definitions = validator.schema["$defs"]
    assert set(definitions["Model"]["properties"]["checks"]["properties"]) == set(registry.known("check"))
    guards = set(definitions["Retraining"]["properties"]["guards"]["properties"])
    assert guards == {*registry.known("guard"), "approval"}


# --- the commands -----------------------------------------------------------------------------------------------------


def command(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(TOP), **ENVIRONMENT}
    line = [sys.executable, "-m", "monitor.cli", *map(str, arguments)]
    return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_validate_says_ok_and_exits_with_0(tmp_path: Path) -> None:
    done = command("config", "validate", "-c", HERE / "good" / "everything_available.yml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ok, 2 apps, 4 models" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_validate_says_everything_that_is_wrong_on_standard_error_and_exits_with_2(tmp_path: Path) -> None:
    path = HERE / "bad" / "several_parts_at_once.yml"
    done = command("config", "validate", "-c", path, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == len(path.with_suffix(".txt").read_text(encoding="utf-8").splitlines())


def test_validate_takes_anchorwatch_yml_where_nothing_is_named(tmp_path: Path) -> None:
    done = command("config", "validate", cwd=tmp_path)
    expected = "anchorwatch.yml: expected a configuration file, cannot read it: No such file or directory\n"
    assert (done.returncode, done.stderr) == (2, expected)


def test_the_schema_is_printed(tmp_path: Path) -> None:
    done = command("config", "schema", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == schema()
