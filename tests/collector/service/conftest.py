from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import mosquitto
from tests.collector.service.running import Collector
from tests.processes import free_port


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    """Collector that is not running yet, beside a broker that is."""
    with mosquitto(tmp_path) as broker:
        yield Collector(tmp_path, broker.port, free_port())
