"""The sources that are pulled, as a configuration names them: every example of their page is one."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from monitor import registry
from monitor.config import ConfigError, load
from monitor.config.model import Columns
from monitor.source import SourceError
from monitor.wire.records import Prediction

PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")
PULLED = ("kafka", "redis", "sql")
OPTIONS = {
    "kafka": {"bootstrap": "h:1", "topic": "t"},
    "redis": {"url": "redis://h", "stream": "s"},
    "sql": {"url": "postgresql://h/d", "query": "SELECT 1", "mark": "n"},
}


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def written(folder: Path, text: str) -> Path:
    (folder / "anchorwatch.yml").write_text(text, encoding="utf-8")
    return folder / "anchorwatch.yml"


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_example_is_a_good_configuration(tmp_path: Path, text: str) -> None:
    ((_, model),) = load(written(tmp_path, text), environment={}, secrets=False).config.models()
    assert model.predictions.type == model.labels.type
    assert model.predictions.type in PULLED


def test_there_is_an_example_of_each() -> None:
    assert len(blocks("yaml")) == len(PULLED)
    for record in blocks("json"):
        assert msgspec.json.decode(json.dumps({"model": "m", **json.loads(record)}), type=Prediction).event_id == "17"


@pytest.mark.parametrize("name", PULLED)
def test_what_is_pulled_is_light_and_no_reference(name: str) -> None:
    module = registry.load("source", name)
    assert (False, {"predictions", "labels"}) == (module.HEAVY, module.ROLES)


@pytest.mark.parametrize("name", PULLED)
def test_a_key_that_is_not_known_is_told(tmp_path: Path, name: str) -> None:
    source = {"type": name, **OPTIONS[name], "strat": "earliest"}
    text = f"apps: [{{name: shop, models: [{{name: m, task: binary, predictions: {json.dumps(source)}}}]}}]"
    with pytest.raises(ConfigError, match=r"predictions\.strat: unknown key"):
        load(written(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "package", "said"),
    [
        (
            "kafka",
            "confluent_kafka",
            "expected the package confluent-kafka for type: kafka: install anchorwatch[kafka]",
        ),
        ("redis", "redis", "expected the package redis for type: redis: install anchorwatch[redis]"),
        ("sql", "psycopg", "expected the package psycopg for postgresql+psycopg: install anchorwatch[postgres]"),
    ],
)
def test_a_package_that_is_not_installed_is_told_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, name: str, package: str, said: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # what Python does with one that is not there
    module: Any = registry.load("source", name)
    options = module.Options(**OPTIONS[name])
    with pytest.raises(SourceError) as caught:
        module.open_feed(options, kind="predictions", columns=Columns(), directory=Path())
    assert str(caught.value) == said
