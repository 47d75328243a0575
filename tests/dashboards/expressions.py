"""Every PromQL expression that dashboards and rules hold, and what must exist for them to find something."""

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
    """The expressions of all panels, dashboard variables still in them."""
    return [
        target["expr"]
        for dashboard in DASHBOARDS
        for panel in dashboard.as_json()["panels"]
        for target in panel["targets"]
    ]


def of_rules() -> list[str]:
    """The expressions of all rules, and the text of annotations, which hold queries too."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    return [rule["expr"] for rule in rules] + [json.dumps(rule.get("annotations", {})) for rule in rules]


def filled_in(expression: str, values: dict[str, str]) -> str:
    """The expression as Grafana sends it. Raises KeyError for a variable that no dashboard has."""
    return _VARIABLE.sub(lambda found: values[found.group(1)], expression)


def metrics(expressions: list[str]) -> set[str]:
    """The names of the collector's metrics that are asked for."""
    return {name for expression in expressions for name in _METRIC.findall(expression)}


def variables(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    """A dashboard's drop-downs, as Grafana reads them."""
    yield from dashboard.as_json()["templating"]["list"]
