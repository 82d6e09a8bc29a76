"""The dashboards: built, linted, and reading only what the daemon exposes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import promql_parser
import pytest

from dashboards.build import built
from monitor.bundled import folder
from tests.provision.expressions import known_names, labels_of, selectors, without_variables

BOARDS = {name: json.loads(text) for name, text in built().items()}
PANELS = [(name, panel) for name, board in BOARDS.items() for panel in board["panels"]]
TARGETS = [(name, panel, target) for name, panel in PANELS for target in panel["targets"]]
UNITS = {"none", "short", "percentunit", "s", "bytes", "reqps", "cps"}
SCHEMA = json.loads((Path(__file__).parent / "dashboard.schema.json").read_text(encoding="utf-8"))

each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
each_panel = pytest.mark.parametrize("panel", [p for _, p in PANELS], ids=[f"{n}-{p['title']}" for n, p in PANELS])
each_target = pytest.mark.parametrize(
    "target", [t for _, _, t in TARGETS], ids=[f"{n}-{p['title']}-{t['refId']}" for n, p, t in TARGETS]
)


@pytest.mark.parametrize("name", BOARDS)
def test_the_committed_dashboard_is_the_built_one(name: str) -> None:
    assert (folder("dashboards") / name).read_text(encoding="utf-8") == built()[name], (
        "run `python dashboards/build.py`"
    )


@each_board
def test_a_dashboard_has_grafana_s_shape(board: dict[str, Any]) -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(board)


@each_board
def test_a_dashboard_is_portable(board: dict[str, Any]) -> None:
    """No `__inputs`, which only the import dialogue fills in; every data source is the variable."""
    assert "__inputs" not in board
    assert "id" not in board
    assert board["editable"] is False
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", board["uid"])

    def sources(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            yield from (item for key, item in value.items() if key == "datasource")
            for item in value.values():
                yield from sources(item)
        elif isinstance(value, list):
            for item in value:
                yield from sources(item)

    assert {json.dumps(source) for source in sources(board)} == {'{"type": "prometheus", "uid": "${datasource}"}'}


@each_board
def test_the_data_source_can_be_chosen_and_lists_reload_with_time(board: dict[str, Any]) -> None:
    first, *others = board["templating"]["list"]
    assert (first["name"], first["label"], first["type"]) == ("datasource", "Data source", "datasource")
    for variable in others:
        assert variable["refresh"] == 2
        inner = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
        assert inner is not None
        (name, labels), *_ = selectors(without_variables(inner[1]))
        known = labels_of(name)
        assert known is not None
        assert labels | {inner[2]} <= known
        assert variable["query"]["query"] == variable["definition"]


@each_board
def test_panels_have_ids_of_their_own_and_do_not_overlap(board: dict[str, Any]) -> None:
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


@each_panel
def test_a_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["targets"]
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert [target["refId"] for target in panel["targets"]] == [
        chr(65 + place) for place in range(len(panel["targets"]))
    ]


@each_target
def test_a_query_parses_and_reads_only_what_is_exposed(target: dict[str, Any]) -> None:
    for name, labels in selectors(without_variables(target["expr"])):
        assert name in known_names()
        assert labels <= (labels_of(name) or labels)


@each_target
def test_a_legend_names_only_labels_that_survive_the_query(target: dict[str, Any]) -> None:
    node = promql_parser.parse(without_variables(target["expr"]))
    wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    kept = _labels_kept(node)
    assert kept is None or wanted <= kept


def _labels_kept(node: Any) -> set[str] | None:
    """The labels of a result; None where all are kept."""
    if isinstance(node, promql_parser.AggregateExpr):
        return set(node.modifier.labels) if node.modifier else set()
    if isinstance(node, promql_parser.ParenExpr):
        return _labels_kept(node.expr)
    if isinstance(node, promql_parser.BinaryExpr):
        return _labels_kept(node.lhs)
    if isinstance(node, promql_parser.Call) and node.args:
        return _labels_kept(node.args[-1])
    return None


@each_target
def test_rates_use_the_rate_interval_and_counters_are_never_shown_raw(target: dict[str, Any]) -> None:
    expr = target["expr"]
    assert re.findall(r"\brate\([^[]+\[(?!\$__rate_interval\])", expr) == []
    for counter in re.finditer(r"anchorwatch_\w+_total", expr):
        before = expr[: counter.start()]
        assert before.endswith(("rate(", "increase(")), f"{counter[0]} is a counter"


def test_application_and_model_stand_side_by_side_on_the_overview() -> None:
    left = [
        p["title"]
        for p in BOARDS["overview.json"]["panels"]
        if p["gridPos"]["x"] < 12 and p["title"].startswith("App:")
    ]
    right = [
        p["title"]
        for p in BOARDS["overview.json"]["panels"]
        if p["gridPos"]["x"] >= 12 and p["title"].startswith("Model:")
    ]
    assert len(left) == 6
    assert len(right) == 6


def test_the_overview_leads_to_the_model_dashboard() -> None:
    urls = {
        link["url"].split("?")[0] for _, panel in PANELS for link in panel["fieldConfig"]["defaults"].get("links", [])
    }
    assert urls == {f"/d/{BOARDS['model.json']['uid']}"}
