"""``python -m dashboards``: writes the JSON files that Grafana's file provider reads."""

import json
from pathlib import Path

from dashboards import fleet, site
from dashboards.builder import Dashboard

GENERATED = Path(__file__).with_name("generated")
DASHBOARDS = (fleet.dashboard(), site.dashboard())


def text(dashboard: Dashboard) -> str:
    """Render a dashboard's JSON file; the same dashboard gives the same bytes."""
    return json.dumps(dashboard.as_json(), indent=2, ensure_ascii=False) + "\n"


def path(dashboard: Dashboard) -> Path:
    """Path of a dashboard's JSON file."""
    return GENERATED / f"{dashboard.uid}.json"


def main() -> None:
    """Write all dashboards."""
    for dashboard in DASHBOARDS:
        path(dashboard).write_text(text(dashboard), encoding="utf-8")
        print(path(dashboard))


if __name__ == "__main__":
    main()
