"""One broker with the shipped configuration, and the authority of its sites, for all tests of this folder."""

from collections.abc import Iterator

import pytest

from collector.certificates.authority import COLLECTOR, PEER, Authority
from tests.deploy.shipped_broker import Broker, shipped_broker


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("sites")).make()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory, sites: Authority) -> Iterator[Broker]:
    with shipped_broker(tmp_path_factory.mktemp("mosquitto"), ("A", "B", COLLECTOR, PEER), sites) as broker:
        yield broker
