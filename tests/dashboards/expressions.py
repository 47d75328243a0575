"""PromQL expressions of all dashboards and rules, and the metrics that they need."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from dashboards.__main__ import DASHBOARDS
from dashboards.builder import Dashboard

RULES = Path(__file__).parents[2] / "dashboards" / "rules" / "plancher.rules.yml"
_METRIC = re.compile(r"(?<![\w:])qos_\w+")
_VARIABLE = re.compile(r"\$(\w+)")


def of_dashboards() -> list[str]:
    """Return the expressions of all panels, with their dashboard variables."""
    return [
        target["expr"]
        for dashboard in DASHBOARDS
        for panel in dashboard.as_json()["panels"]
        for target in panel["targets"]
    ]


def of_rules() -> list[str]:
    """Return the expressions of all rules, and the text of annotations, which contain queries too."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    return [rule["expr"] for rule in rules] + [json.dumps(rule.get("annotations", {})) for rule in rules]


def filled_in(expression: str, values: dict[str, str]) -> str:
    """Return an expression as Grafana sends it. Raises KeyError for an unknown variable."""
    return _VARIABLE.sub(lambda found: values[found.group(1)], expression)


def metrics(expressions: list[str]) -> set[str]:
    """Return the names of the collector's metrics in expressions."""
    return {name for expression in expressions for name in _METRIC.findall(expression)}


def variables(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    """Return the drop-downs of a dashboard."""
    yield from dashboard.as_json()["templating"]["list"]
