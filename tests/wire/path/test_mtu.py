"""The search for the path MTU over simulated paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.path.simulated import Path, Router
from wire.path.hops import Trace
from wire.path.mtu import MtuSearch
from wire.path.probing import FARTHEST_TTL

MOST_PACKETS = 150


NOTHING = {
    "path_mtu": None, "reported": None, "limited_by": None, "limited_at": None, "limited_before": None,
    "black_hole": False, "return_mtu": None,
}  # fmt: skip


def prepared(path: Path, largest: int = 1500) -> MtuSearch:
    """Search that begins after a trace of the path."""
    trace = Trace(30, 1)
    path.run(trace.batches())
    path.sent.clear()
    return MtuSearch(trace.hops, path.base, largest)


def search(path: Path, largest: int = 1500) -> MtuSearch:
    made = prepared(path, largest)
    path.run(made.batches())
    assert len(path.sent) <= MOST_PACKETS
    return made


def results(found: MtuSearch) -> dict[str, object]:
    return {name: getattr(found, name) for name in NOTHING}


REPORTED = {"path_mtu": 1400, "reported": 1400}
HOLE = {"path_mtu": 1400, "black_hole": True}


@pytest.mark.parametrize(("path", "found"), [
    pytest.param(path, found, id=name) for name, path, found in [
        ("no narrow link", Path([Router(), Router()]), {"path_mtu": 1500}),
        ("a router that reports the limit", Path([Router(), Router(), Router(mtu=1400)]),
         REPORTED | {"limited_by": "192.0.2.3", "limited_at": 3}),
        ("the narrower of two links", Path([Router(mtu=1450), Router(mtu=1300)]),
         {"path_mtu": 1300, "reported": 1300, "limited_by": "192.0.2.2", "limited_at": 2}),
        ("no reported size: by bisection", Path([Router(), Router(mtu=1387, names_size=False)]),
         {"path_mtu": 1387, "limited_by": "192.0.2.2", "limited_at": 2}),
        ("a black hole", Path([Router(), Router(), Router(mtu=1400, reports=False), Router()]),
         HOLE | {"limited_at": 3}),
        ("a black hole behind a silent router",
         Path([Router(), Router(), Router(mtu=1400, reports=False, silent=True), Router()]),
         HOLE | {"limited_at": 2}),
        ("a black hole behind a reported limit", Path([Router(mtu=1450), Router(mtu=1400, reports=False)]),
         HOLE | {"limited_at": 2}),
        ("a black hole without answers of routers",
         Path([Router(silent=True), Router(mtu=1400, silent=True)]), HOLE),
        ("a narrow return path", Path([Router(), Router(return_mtu=1300)]),
         {"path_mtu": 1500, "return_mtu": 1300}),
        ("a narrow forward path and a narrower return path",
         Path([Router(mtu=1400), Router(return_mtu=1300)]),
         REPORTED | {"limited_by": "192.0.2.1", "limited_at": 1, "return_mtu": 1300}),
        ("no counter of the peer: direction unknown",
         Path([Router(), Router(return_mtu=1400)], stateful=False), {}),
        ("no counter of the peer before a black hole",
         Path([Router(), Router(mtu=1400, reports=False)], stateful=False), {}),
        ("no counter of the peer but a reported limit", Path([Router(), Router(mtu=1400)], stateful=False),
         REPORTED | {"limited_by": "192.0.2.2", "limited_at": 2}),
        ("a few lost packets are no black hole", Path([Router(), Router(mtu=1400)], lost={1, 2}),
         REPORTED | {"limited_by": "192.0.2.2"}),
        ("a line that fails during the search is no black hole",
         Path([Router(mtu=1400, reports=False)], lost=set(range(5, 500))), {}),
        ("a size refused by the own interface is no black hole", Path([Router()], interface_mtu=1492),
         {"path_mtu": 1492}),
    ]
])  # fmt: skip
def test_search_over_a_path(path: Path, found: dict[str, object]) -> None:
    made = search(path)
    assert results(made) == NOTHING | found
    if found == {"path_mtu": 1500}:
        assert len(path.sent) == 2, "a path without a narrow link needs two packets"


def test_a_black_hole_before_the_first_router_is_located_there() -> None:
    path = Path([Router(), Router()])
    found = prepared(path)
    path.black_hole_here = 1400
    path.run(found.batches())
    assert results(found) == NOTHING | HOLE | {"limited_before": 1}


def test_a_search_that_was_cut_short_locates_nothing() -> None:
    path = Path([Router(), Router(mtu=1400, reports=False)])
    found = prepared(path)
    batches = found.batches()
    probes = next(batches)
    while all(probe.ttl == FARTHEST_TTL for probe in probes):
        probes = batches.send(path.answers(probes))
    assert results(found) == NOTHING | HOLE


def test_a_peer_that_stops_answering_gives_no_result() -> None:
    path = Path([Router()])
    found = prepared(path)
    path.peer_answers = False
    path.run(found.batches())
    assert results(found) == NOTHING


@given(
    mtus=st.lists(st.integers(200, 1500), min_size=1, max_size=6),
    reports=st.lists(st.booleans(), min_size=6, max_size=6),
    back=st.integers(200, 1600),
)
def test_sizes_are_right_on_any_path(mtus: list[int], reports: list[bool], back: int) -> None:
    routers = [Router(mtu=mtu, reports=reports_it) for mtu, reports_it in zip(mtus, reports, strict=False)]
    routers[0].return_mtu = back
    found = search(Path(routers))
    narrow = min(mtus)
    assert found.path_mtu == narrow
    if narrow < 1500:
        assert found.limited_at is not None
        assert mtus[found.limited_at - 1] == narrow
        assert found.black_hole == (not reports[mtus.index(narrow)])
    assert found.return_mtu == (back if back < narrow else None)
