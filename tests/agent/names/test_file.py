"""File of known addresses: what outlives a run, and what a damaged file costs."""

from pathlib import Path

import pytest

from agent.names import file
from net.addresses.host import HostAddresses
from net.addresses.preference import MOST_ADDRESSES

SIX, FOUR = "2001:db8::1", "192.0.2.1"


def test_addresses_outlive_the_run(tmp_path: Path) -> None:
    path = file.path_beside(str(tmp_path / "journal.db"))
    peer, broker = (HostAddresses("both.test", [SIX, FOUR]) for _ in range(2))
    peer.prove(FOUR)
    file.write(path, file.of(peer, broker))
    known = file.read(path)
    again = known.peer.addresses_of("both.test")
    assert (again.candidates, again.proved, again.is_vouched_for) == ((FOUR, SIX), (FOUR,), True)
    assert known.broker.addresses_of("both.test").candidates == (SIX, FOUR)
    assert known.peer.addresses_of("other.test").candidates == ()


def test_nothing_is_kept_of_an_address(tmp_path: Path) -> None:
    assert file.of(HostAddresses(FOUR), HostAddresses(SIX)) == file.KnownHosts()


@pytest.mark.parametrize("content", [
    None,
    b"",
    b"[]",
    b'{"peer":{"host":"peer.test","proved":"192.0.2.1"}}',
    b'{"peer":{"host":"peer.test","proved":["\xff"]}}',
    b'{"peer":{"host":""}}',
    b'{"peer":{"answered":[' + b'"192.0.2.1",' * MOST_ADDRESSES + b'"192.0.2.2"]}}',
    b'{"peer":{' + b" " * file.MAX_BYTES + b"}}",
])  # fmt: skip
def test_a_damaged_file_is_empty(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / file.NAME
    if content is not None:
        path.write_bytes(content)
    assert file.read(path) == file.KnownHosts()


def test_what_is_no_address_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / file.NAME
    path.write_bytes(
        b'{"peer":{"host":"peer.test","answered":["$(reboot)","192.0.2.1"],"proved":["peer.test"]}}'
    )
    known = file.read(path).peer.addresses_of("peer.test")
    assert (known.candidates, known.proved) == ((FOUR,), ())
