"""The command ``check`` of the collector: what it tries, and what it warns of."""

import socket
from pathlib import Path

import pytest

from collector.check import check
from collector.settings import CollectorSettings, LedgerSettings, WebSettings
from host.finding import CheckFinding
from net.mqtt import Broker
from tests.processes import free_port


def findings(folder: Path, host: str, broker: int) -> dict[str, CheckFinding]:
    (folder / "sites.csv").write_text("site_id,name\nS1,One\n")
    chosen = CollectorSettings(
        inventory=str(folder / "sites.csv"),
        ledger=LedgerSettings(str(folder / "ledger.db")),
        web=WebSettings(host, free_port()),
        broker=Broker(port=broker),
    )
    return {finding.what: finding for finding in check(chosen)}


@pytest.mark.parametrize(("host", "is_open"), [("127.0.0.1", False), ("0.0.0.0", True), ("::1", False)])
def test_pages_that_other_machines_read_without_a_password_are_a_warning(
    tmp_path: Path, host: str, is_open: bool
) -> None:
    if host == "::1" and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    found = findings(tmp_path, host, free_port())["web"]
    assert (found.note, found.code) == (is_open, 0)
    assert ("without a password" in found.text) == is_open
