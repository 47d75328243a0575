"""Builder of Grafana's dashboard JSON (schema version 38, Grafana 10 and newer) from typed parts.

It has only what these dashboards use. Sizes are in Grafana's grid: 24 columns, rows of about 30 pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Json = dict[str, Any]

SCHEMA_VERSION = 38
GRID_COLUMNS = 24
# The uid is set in deploy/grafana/provisioning/datasources/plancher.yml.
DATA_SOURCE: Json = {"type": "prometheus", "uid": "plancher-prometheus"}


class Unit(StrEnum):
    """Unit of values, as Grafana's id."""

    BITS_PER_SECOND = "bps"
    SECONDS = "s"
    RATIO = "percentunit"
    NONE = "none"


class Colour(StrEnum):
    """Colour, as Grafana's palette name."""

    GREEN = "green"
    YELLOW = "yellow"
    ORANGE = "orange"
    RED = "red"
    BLUE = "blue"
    GREY = "text"


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL query; ``legend`` may contain labels as ``{{label}}``."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Colour of values from ``value`` on; None is for those below the first value."""

    value: float | None
    colour: Colour


@dataclass(frozen=True, slots=True)
class Mapping:
    """Text and colour shown instead of a number."""

    value: int
    text: str
    colour: Colour


@dataclass(frozen=True, slots=True)
class Label:
    """Column of a table that shows a label; a click on a value opens ``link``."""

    name: str
    title: str
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """Column of a table that shows the result of a query, which has one value for each row's key."""

    title: str
    expression: str
    unit: Unit = Unit.NONE
    thresholds: tuple[Threshold, ...] = ()
    mappings: tuple[Mapping, ...] = ()


@dataclass(frozen=True, slots=True)
class Variable:
    """Drop-down with the values of one label of ``metric``."""

    label: str
    title: str
    metric: str
    several: bool = True


@dataclass(frozen=True, slots=True)
class Panel:
    """Panel with its size and its own JSON, but without a position."""

    title: str
    width: int
    height: int
    body: Json


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Dashboard whose panels are placed from left to right, then in the next row."""

    uid: str
    title: str
    variables: tuple[Variable, ...]
    panels: tuple[Panel, ...]
    since: str
    refresh: str = "1m"

    def as_json(self) -> Json:
        """Make the document that Grafana's file provider reads."""
        return {
            "uid": self.uid,
            "title": self.title,
            "tags": ["plancher"],
            "schemaVersion": SCHEMA_VERSION,
            # Changes belong into this package: the files are generated.
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
    """Make a panel of lines over time; the one whose legend is ``floor_of`` is dashed and red."""
    overrides = [] if floor_of is None else [_floor_line(floor_of)]
    body = {
        "type": "timeseries",
        "targets": _targets(queries),
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "min": 0,
                # In a gap nothing was measured, and a line across it would show values that nobody has.
                "custom": {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 0, "spanNulls": False},
            },
            "overrides": overrides,
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    }
    return Panel(title, width, 8, body)


def state_timeline(title: str, queries: Sequence[Query], mappings: Sequence[Mapping]) -> Panel:
    """Make a panel of states over time: one bar a query, coloured by value."""
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
    """Make a panel of one present value, coloured by mappings, by thresholds, or by a fixed colour."""
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
    """Make a table with a row for each result of ``rows``, whose labels are ``labels``, the key first.

    ``sort`` has titles of columns, each with True for the largest value first.
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
        "refresh": 2,  # read again when the time range changes: an older range may have other sites
        "sort": 1,
        "multi": variable.several,
        **(several if variable.several else {"includeAll": False}),
    }


def _place(panels: Sequence[Panel]) -> list[Json]:
    placed, column, row, height = [], 0, 0, 0
    for number, panel in enumerate(panels, start=1):
        # The next row begins below the highest panel of this one.
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
