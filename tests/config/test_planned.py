"""What is promised and not there yet answers so; the list of it only ever gets shorter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor import registry
from monitor.config.planned import PLANNED_OPTIONS
from tests.config.files import lines_of, parsed, written
from tests.conftest import SHARED_DATA

EXAMPLE = SHARED_DATA.parent / "anchorwatch.example.yml"

# Take a line out when its feature lands; none is ever added.
NOT_YET = {
    "apps[0].probes[2]",
    "apps[0].probes[3]",
    "apps[0].slos",
    "apps[0].models[0].lineage",
    "apps[0].models[0].retraining.trigger",
    "alerting.receivers[2]",
}


@pytest.fixture
def example() -> Path:
    """The configuration by example that fixes all keys; the test is skipped where it is absent."""
    if not EXAMPLE.is_file():
        pytest.skip(f"expected the example configuration at {EXAMPLE}, which is absent")
    return EXAMPLE


def test_all_that_is_wrong_with_the_example_is_what_is_not_available_yet(example: Path) -> None:
    found = {}
    for line in lines_of(example):
        _, _, place, message = line.split(":", 3)
        found[place.strip()] = message.strip()
    assert set(found) == NOT_YET
    assert all(message.endswith("not available yet") for message in found.values())


def without_what_is_planned(data: Any) -> Any:
    """The example as it can be used today."""
    (app,), alerting = data["apps"], data["alerting"]
    (model,) = app["models"]
    del app["slos"]
    app["probes"] = [probe for probe in app["probes"] if probe["type"] == "http"]
    del model["lineage"]
    model["checks"] = {
        name: model["checks"][name] for name in ("drift", "estimation", "fairness", "performance", "quality", "skew")
    }
    model["retraining"]["trigger"] = {
        "type": "webhook",
        "url": "https://ci.example.org/",
        "secret_file": "/run/secrets/gh",
    }
    alerting["receivers"] = [each for each in alerting["receivers"] if each["type"] != "alertmanager"]
    return data


def test_the_example_without_these_parts_is_a_good_configuration(example: Path, tmp_path: Path) -> None:
    data = without_what_is_planned(parsed(example.read_text(encoding="utf-8")))
    assert lines_of(written(tmp_path, yaml.safe_dump(data))) == []


@pytest.mark.parametrize("kind", registry.FOLDERS)
def test_what_is_there_is_no_longer_planned(kind: str) -> None:
    assert registry.PLANNED[kind].isdisjoint(registry.known(kind))


def test_options_are_kept_only_of_what_is_planned() -> None:
    assert all(name in registry.PLANNED[kind] for kind, name in PLANNED_OPTIONS)


@pytest.mark.parametrize("kind", registry.FOLDERS)
def test_a_planned_plugin_says_that_it_is_not_available_yet(kind: str) -> None:
    for name in registry.PLANNED[kind]:
        with pytest.raises(registry.PlannedPlugin, match=f"^'{name}' is not available yet$"):
            registry.load(kind, name)


PLACES = {
    "probe": "apps: [{{name: shop, probes: [{{type: {name}, name: x, address: a, grace: 1h}}]}}]",
    "receiver": "apps: [{{name: shop}}]\nalerting: {{receivers: [{{type: {name}, name: x, url: 'https://h'}}]}}",
    "trigger": "apps: [{{name: shop, models: [{{name: m, task: binary, retraining: {{on: [drift], trigger: {{type: {name}}}}}}}]}}]",
    "check": "apps: [{{name: shop, models: [{{name: m, task: binary, checks: {{{name}: {{protected: [sex]}}}}}}]}}]",
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in PLACES for name in sorted(registry.PLANNED[kind]) if (kind, name) not in PLANNED_OPTIONS],
)
def test_a_planned_plugin_in_a_file_is_not_available_yet(tmp_path: Path, kind: str, name: str) -> None:
    (line,) = lines_of(written(tmp_path, PLACES[kind].format(name=name)))
    assert line.endswith(f"{name}: not available yet")
