"""Plain builders of Grafana's dashboard JSON: a panel is a dictionary, a dashboard is lines of them on a 24-wide grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Json = dict[str, Any]
Line = Sequence[tuple[int, Json]]

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
STATES = {1: ("ok", "green"), 2: ("no data", "#8e8e8e"), 3: ("breached", "red"), 4: ("error", "purple")}


def query(expr: str, legend: str = "", *, instant: bool = False, table: bool = False) -> Json:
    """One query of a panel; its letter is given by the panel."""
    return {
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": expr,
        "format": "table" if table else "time_series",
        "instant": instant,
        "range": not instant,
        "legendFormat": legend or "__auto",
    }


def panel(kind: str, title: str, description: str, queries: Sequence[Json], fields: Json, options: Json) -> Json:
    """A panel without its place."""
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": [{"refId": chr(ord("A") + place), **one} for place, one in enumerate(queries)],
        "fieldConfig": {"defaults": fields, "overrides": []},
        "options": options,
    }


def steps(*levels: tuple[float | None, str]) -> Json:
    """Thresholds: a colour from each value on; the first value is None."""
    return {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in levels]}


GREEN = steps((None, "green"))


def lines(  # noqa: PLR0913 - a panel has that many sides
    title: str,
    description: str,
    queries: Sequence[Json],
    unit: str,
    *,
    limit: float | None = None,
    low: float | None = 0,
    bars: bool = False,
    stacked: bool = False,
    legend_table: bool = False,
    links: Sequence[Json] = (),
) -> Json:
    """Values over time. Series whose legend ends in "threshold" are dashed and red; `limit` draws a fixed line."""
    custom = {
        "drawStyle": "bars" if bars else "line",
        "lineWidth": 1,
        "fillOpacity": 60 if bars else (25 if stacked else 5),
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "off" if limit is None else "dashed"},
    }
    fields: Json = {
        "unit": unit,
        "color": {"mode": "palette-classic"},
        "custom": custom,
        "thresholds": GREEN if limit is None else steps((None, "green"), (limit, "red")),
    }
    if low is not None:
        fields["min"] = low
    if links:
        fields["links"] = list(links)
    legend = {
        "displayMode": "table" if legend_table else "list",
        "placement": "right" if legend_table else "bottom",
        "showLegend": True,
        "calcs": ["lastNotNull"] if legend_table else [],
    }
    if legend_table:
        legend |= {"sortBy": "Last *", "sortDesc": True}
    options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    built = panel("timeseries", title, description, queries, fields, options)
    built["fieldConfig"]["overrides"] = [_dashed()]
    return built


def _dashed() -> Json:
    properties = [
        {"id": "color", "value": {"mode": "fixed", "fixedColor": "red"}},
        {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 6]}},
        {"id": "custom.fillOpacity", "value": 0},
        {"id": "custom.stacking", "value": {"mode": "none"}},
    ]
    return {"matcher": {"id": "byRegexp", "options": ".*threshold$"}, "properties": properties}


def number(title: str, description: str, one: Json, unit: str, thresholds: Json, *, decimals: int = 0) -> Json:
    """One number, large."""
    fields = {"unit": unit, "decimals": decimals, "thresholds": thresholds, "color": {"mode": "thresholds"}}
    options = {
        "colorMode": "background_solid" if len(thresholds["steps"]) > 1 else "value",
        "graphMode": "none",
        "justifyMode": "center",
        "textMode": "value",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return panel("stat", title, description, [one], fields, options)


def states_now(title: str, description: str, one: Json) -> Json:
    """The state of each check, as words on coloured ground."""
    options = {
        "colorMode": "background_solid",
        "graphMode": "none",
        "justifyMode": "center",
        "textMode": "value_and_name",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return panel("stat", title, description, [one], _state_fields(), options)


def states_over_time(title: str, description: str, one: Json) -> Json:
    """The state of each check over time, a stripe each."""
    fields = {**_state_fields(), "custom": {"fillOpacity": 80, "lineWidth": 0}}
    options = {
        "mergeValues": True,
        "showValue": "never",
        "rowHeight": 0.85,
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return panel("state-timeline", title, description, [one], fields, options)


def _state_fields() -> Json:
    words = {str(code): {"text": word, "color": color, "index": code} for code, (word, color) in STATES.items()}
    return {
        "unit": "none",
        "color": {"mode": "thresholds"},
        "mappings": [{"type": "value", "options": words}],
        "thresholds": steps((None, STATES[1][1]), *((code, STATES[code][1]) for code in (2, 3, 4))),
    }


def state_of(selector: str, *, by: str) -> str:
    """The expression behind a check's state: 1 ok, 2 no data, 3 breached, 4 error."""
    series = f"anchorwatch_check_state{{{selector}, state="
    parts = (f'{code} * {series}"{word.replace(" ", "_")}"}}' for code, (word, _) in STATES.items())
    return f"max by ({by}) ({' or '.join(parts)})"


def bars(title: str, description: str, one: Json, unit: str, thresholds: Json) -> Json:
    """A value by name now, as horizontal bars."""
    fields = {"unit": unit, "min": 0, "thresholds": thresholds, "color": {"mode": "thresholds"}}
    options = {
        "displayMode": "basic",
        "orientation": "horizontal",
        "valueMode": "color",
        "showUnfilled": True,
        "namePlacement": "left",
        "sizing": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return panel("bargauge", title, description, [one], fields, options)


def columns(title: str, description: str, sides: dict[str, Json], by: str, unit: str) -> Json:
    """Values by name side by side, now: each side's query is a table with the label `by`."""
    fields = {"unit": unit, "min": 0, "thresholds": GREEN, "color": {"mode": "palette-classic"}}
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
    options = {
        "xField": by, "orientation": "auto", "stacking": "none", "showValue": "never", "groupWidth": 0.8, "barWidth": 0.9,
        "xTickLabelRotation": -45, "xTickLabelMaxLength": 24, "legend": legend, "tooltip": {"mode": "multi", "sort": "none"},
    }  # fmt: skip
    built = panel("barchart", title, description, list(sides.values()), fields, options)
    values = {f"Value #{target['refId']}": name for target, name in zip(built["targets"], sides, strict=True)}
    shown = {name: place for place, name in enumerate([by, *values])}
    built["transformations"] = [
        {"id": "joinByField", "options": {"byField": by, "mode": "outer"}},
        {"id": "filterFieldsByName", "options": {"include": {"names": list(shown)}}},
        {"id": "organize", "options": {"indexByName": shown, "excludeByName": {}, "renameByName": values}},
        {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": by, "desc": False}]}},
    ]
    return built


def table(title: str, description: str, one: Json, columns: Sequence[str], *, sort: str) -> Json:
    """Label sets as rows, with these labels as columns."""
    shown = {name: place for place, name in enumerate(columns)}
    fields = {"unit": "none", "thresholds": GREEN, "custom": {"align": "left"}}
    options = {"showHeader": True, "cellHeight": "sm", "sortBy": [{"displayName": sort, "desc": False}]}
    built = panel("table", title, description, [one], fields, options)
    built["transformations"] = [
        {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}},
        {"id": "organize", "options": {"indexByName": shown, "excludeByName": {}, "renameByName": {}}},
    ]
    return built


def variable(name: str, label: str, values: str, *, several: bool) -> Json:
    """A variable whose values are looked up in Prometheus."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": {"query": values, "refId": name, "qryType": 1},
        "definition": values,
        "refresh": 2,
        "sort": 1,
        "multi": several,
        "includeAll": several,
        "allValue": ".+" if several else None,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]} if several else {},
        "options": [],
        "regex": "",
        "hide": 0,
        "skipUrlSync": False,
    }


def dashboard(
    uid: str, title: str, description: str, variables: Sequence[Json], rows: Iterable[tuple[int, Line]]
) -> Json:
    """A dashboard of lines: `(height, [(width, panel), ...])`, from the top down.

    Raises:
        ValueError: a line is not as wide as the grid.
    """
    placed: list[Json] = []
    top = 0
    for height, line in rows:
        if sum(width for width, _ in line) != WIDTH:
            raise ValueError(f"{title}: expected lines of width {WIDTH}, got {[one['title'] for _, one in line]}")
        left = 0
        for width, one in line:
            place = {"h": height, "w": width, "x": left, "y": top}
            placed.append({"id": len(placed) + 1, **one, "gridPos": place})
            left += width
        top += height
    source = {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": "prometheus",
        "current": {},
        "hide": 0,
        "refresh": 1,
    }
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["anchorwatch"],
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "links": [_siblings()],
        "annotations": {"list": []},
        "templating": {"list": [source, *variables]},
        "panels": placed,
    }


def _siblings() -> Json:
    return {
        "type": "dashboards",
        "title": "Anchorwatch",
        "tags": ["anchorwatch"],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
    }
