"""Grafana's dashboard JSON (schema version 38, Grafana 10 and newer) from a few typed parts.

Only what the dashboards here use. Sizes are in Grafana's grid: 24 columns, rows of about 30 pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Json = dict[str, Any]

SCHEMA_VERSION = 38
GRID_COLUMNS = 24
# The uid that deploy/grafana/provisioning/datasources/plancher.yml gives.
DATA_SOURCE: Json = {"type": "prometheus", "uid": "plancher-prometheus"}


class Unit(StrEnum):
    """How values are written: Grafana's unit ids."""

    BITS_PER_SECOND = "bps"
    SECONDS = "s"
    RATIO = "percentunit"
    NONE = "none"


class Colour(StrEnum):
    """Grafana's palette names."""

    GREEN = "green"
    YELLOW = "yellow"
    ORANGE = "orange"
    RED = "red"
    BLUE = "blue"
    GREY = "text"


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL query. ``legend`` may hold labels as ``{{label}}``."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Threshold:
    """From ``value`` on, ``colour``; None is the colour of everything below the first value."""

    value: float | None
    colour: Colour


@dataclass(frozen=True, slots=True)
class Mapping:
    """A number shown as words."""

    value: int
    text: str
    colour: Colour


@dataclass(frozen=True, slots=True)
class Label:
    """A column of a table that shows a label. ``link``: where a click on the value leads."""

    name: str
    title: str
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table that shows the value of a query, which gives one for each row's key."""

    title: str
    expression: str
    unit: Unit = Unit.NONE
    thresholds: tuple[Threshold, ...] = ()
    mappings: tuple[Mapping, ...] = ()


@dataclass(frozen=True, slots=True)
class Variable:
    """A drop-down filled with the values of one label of ``metric``."""

    label: str
    title: str
    metric: str
    several: bool = True


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel without its place: its size, and the JSON that makes it what it is."""

    title: str
    width: int
    height: int
    body: Json


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard; panels are placed left to right, then in the next row."""

    uid: str
    title: str
    variables: tuple[Variable, ...]
    panels: tuple[Panel, ...]
    since: str
    refresh: str = "1m"

    def as_json(self) -> Json:
        """The document that Grafana's file provider reads."""
        return {
            "uid": self.uid,
            "title": self.title,
            "tags": ["plancher"],
            "schemaVersion": SCHEMA_VERSION,
            "editable": False,
            "timezone": "browser",
            "refresh": self.refresh,
            "time": {"from": self.since, "to": "now"},
            "templating": {"list": [_variable(variable) for variable in self.variables]},
            "panels": _place(self.panels),
        }


def time_series(
    title: str, queries: Sequence[Query], unit: Unit, *, width: int = 12, floor_of: str | None = None
) -> Panel:
    """Lines over time. The series whose legend is ``floor_of`` is drawn as a dashed red line."""
    overrides = [] if floor_of is None else [_floor_line(floor_of)]
    body = {
        "type": "timeseries",
        "targets": _targets(queries),
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "min": 0,
                # Longer gaps are gaps: nothing was measured, and a line drawn across would say otherwise.
                "custom": {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 0, "spanNulls": False},
            },
            "overrides": overrides,
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    }
    return Panel(title, width, 8, body)


def state_timeline(title: str, queries: Sequence[Query], mappings: Sequence[Mapping]) -> Panel:
    """What was so, and from when to when: one bar a query, coloured by value."""
    body = {
        "type": "state-timeline",
        "targets": _targets(queries),
        "fieldConfig": {
            "defaults": {"mappings": _mappings(mappings), "custom": {"fillOpacity": 80, "lineWidth": 0}},
            "overrides": [],
        },
        "options": {"mergeValues": True, "showValue": "auto", "legend": {"showLegend": False}},
    }
    return Panel(title, GRID_COLUMNS, 6, body)


def stat(
    title: str,
    query: Query,
    unit: Unit,
    *,
    mappings: Sequence[Mapping] = (),
    thresholds: Sequence[Threshold] = (),
    colour: Colour | None = None,
    width: int = 4,
) -> Panel:
    """One present value in large figures, coloured by mappings, by thresholds, or always the same."""
    defaults: Json = {"unit": unit, "mappings": _mappings(mappings)}
    if thresholds:
        defaults["thresholds"] = _thresholds(thresholds)
    if colour is not None:
        defaults["color"] = {"mode": "fixed", "fixedColor": colour}
    body = {
        "type": "stat",
        "targets": _targets([query], shape=_INSTANT),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "textMode": "auto"},
    }
    return Panel(title, width, 4, body)


def table(
    title: str,
    rows: str,
    labels: Sequence[Label],
    columns: Sequence[Column],
    sort: Sequence[tuple[str, bool]],
    *,
    height: int = 22,
) -> Panel:
    """One row for each result of ``rows``, which must carry exactly ``labels``, the first one being the key.

    ``sort`` names titles of columns and whether the largest comes first.
    """
    values = {f"Value #{_letter(index)}": column.title for index, column in enumerate(columns, start=1)}
    titles = {label.name: label.title for label in labels} | values
    shown = {
        "excludeByName": {"Time": True, f"Value #{_letter(0)}": True},
        "indexByName": {name: index for index, name in enumerate(titles)},
        "renameByName": titles,
    }
    body = {
        "type": "table",
        "targets": _targets([Query(rows), *(Query(column.expression) for column in columns)], shape=_ROWS),
        "transformations": [{"id": "merge", "options": {}}, {"id": "organize", "options": shown}],
        "fieldConfig": {
            "defaults": {},
            "overrides": [_label(label) for label in labels if label.link]
            + [_column(each) for each in columns],
        },
        "options": {
            "showHeader": True,
            "sortBy": [{"displayName": name, "desc": desc} for name, desc in sort],
        },
    }
    return Panel(title, GRID_COLUMNS, height, body)


def _variable(variable: Variable) -> Json:
    query = f"label_values({variable.metric}, {variable.label})"
    several = {"includeAll": True, "allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}}
    return {
        "name": variable.label,
        "label": variable.title,
        "type": "query",
        "datasource": DATA_SOURCE,
        "definition": query,
        "query": {"query": query, "refId": "variable"},
        "refresh": 2,  # whenever the time range changes: sites come and go
        "sort": 1,
        "multi": variable.several,
        **(several if variable.several else {"includeAll": False}),
    }


def _place(panels: Sequence[Panel]) -> list[Json]:
    placed, column, row, height = [], 0, 0, 0
    for number, panel in enumerate(panels, start=1):
        if column + panel.width > GRID_COLUMNS:
            column, row, height = 0, row + height, 0
        place = {"x": column, "y": row, "w": panel.width, "h": panel.height}
        placed.append(
            {"id": number, "title": panel.title, "gridPos": place, "datasource": DATA_SOURCE, **panel.body}
        )
        column, height = column + panel.width, max(height, panel.height)
    return placed


_RANGE: Json = {"range": True, "format": "time_series"}
_INSTANT: Json = {"instant": True, "range": False, "format": "time_series"}
_ROWS: Json = {"instant": True, "range": False, "format": "table"}


def _targets(queries: Sequence[Query], *, shape: Json = _RANGE) -> list[Json]:
    return [
        {
            "refId": _letter(index),
            "datasource": DATA_SOURCE,
            "expr": query.expression,
            "legendFormat": query.legend or "__auto",
            **shape,
        }
        for index, query in enumerate(queries)
    ]


def _letter(index: int) -> str:
    return chr(ord("A") + index)


def _mappings(mappings: Sequence[Mapping]) -> list[Json]:
    if not mappings:
        return []
    options = {
        str(each.value): {"text": each.text, "color": each.colour, "index": each.value} for each in mappings
    }
    return [{"type": "value", "options": options}]


def _thresholds(thresholds: Sequence[Threshold]) -> Json:
    steps = [{"value": threshold.value, "color": threshold.colour} for threshold in thresholds]
    return {"mode": "absolute", "steps": steps}


def _floor_line(legend: str) -> Json:
    properties: list[Json] = [
        {"id": "color", "value": {"mode": "fixed", "fixedColor": Colour.RED}},
        {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [10, 10]}},
        {"id": "custom.lineWidth", "value": 2},
    ]
    return {"matcher": {"id": "byName", "options": legend}, "properties": properties}


def _label(label: Label) -> Json:
    link = [{"title": f"{label.title}: open", "url": label.link}]
    return {
        "matcher": {"id": "byName", "options": label.title},
        "properties": [{"id": "links", "value": link}],
    }


def _column(column: Column) -> Json:
    properties: list[Json] = [{"id": "unit", "value": column.unit}]
    if column.mappings:
        properties.append({"id": "mappings", "value": _mappings(column.mappings)})
    if column.thresholds:
        properties.append({"id": "thresholds", "value": _thresholds(column.thresholds)})
    if column.mappings or column.thresholds:
        properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    return {"matcher": {"id": "byName", "options": column.title}, "properties": properties}
