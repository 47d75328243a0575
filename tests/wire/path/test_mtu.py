"""The search for the path MTU over simulated paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.path.simulated import Path, Router
from wire.path.hops import SeenHop, Trace
from wire.path.mtu import MtuSearch
from wire.path.probing import FARTHEST_TTL

MOST_PACKETS = 150


def traced(path: Path) -> list[SeenHop]:
    trace = Trace(30, 1)
    path.run(trace.batches())
    return trace.hops


def search(path: Path, largest: int = 1500) -> MtuSearch:
    hops = traced(path)
    path.sent.clear()
    made = MtuSearch(hops, path.base, largest)
    path.run(made.batches())
    assert len(path.sent) <= MOST_PACKETS
    return made


def test_a_path_without_a_narrow_link_needs_two_packets() -> None:
    path = Path([Router(), Router()])
    found = search(path)
    assert (found.path_mtu, found.limited_at, found.limited_by, found.black_hole) == (1500, None, None, False)
    assert len(path.sent) == 2


def test_the_router_that_reports_the_limit_is_named() -> None:
    found = search(Path([Router(), Router(), Router(mtu=1400)]))
    assert (found.path_mtu, found.reported, found.limited_by, found.limited_at) == (
        1400,
        1400,
        "192.0.2.3",
        3,
    )
    assert not found.black_hole
    assert found.return_mtu is None


def test_the_narrower_of_two_links_is_named() -> None:
    found = search(Path([Router(mtu=1450), Router(mtu=1300)]))
    assert (found.path_mtu, found.limited_at) == (1300, 2)


def test_without_a_reported_size_the_limit_is_found_by_bisection() -> None:
    found = search(Path([Router(), Router(mtu=1387, names_size=False)]))
    assert (found.path_mtu, found.reported, found.limited_at, found.black_hole) == (1387, None, 2, False)


@pytest.mark.parametrize("silent", [False, True])
def test_a_black_hole_is_found_and_located(silent: bool) -> None:
    routers = [Router(), Router(), Router(mtu=1400, reports=False, silent=silent), Router()]
    found = search(Path(routers))
    assert found.black_hole
    assert (found.path_mtu, found.limited_by, found.reported) == (1400, None, None)
    assert found.limited_at == (2 if silent else 3)


def test_a_black_hole_behind_a_reported_limit() -> None:
    found = search(Path([Router(mtu=1450), Router(mtu=1400, reports=False)]))
    assert found.black_hole
    assert (found.path_mtu, found.limited_by, found.limited_at) == (1400, None, 2)


def test_the_return_path_is_distinguished() -> None:
    found = search(Path([Router(), Router(return_mtu=1300)]))
    assert (found.path_mtu, found.return_mtu, found.black_hole, found.limited_at) == (1500, 1300, False, None)


def test_a_narrow_forward_path_and_a_narrower_return_path() -> None:
    found = search(Path([Router(mtu=1400), Router(return_mtu=1300)]))
    assert (found.path_mtu, found.return_mtu, found.limited_at) == (1400, 1300, 1)


@pytest.mark.parametrize("router", [Router(mtu=1400, reports=False), Router(return_mtu=1400)])
def test_without_a_counter_of_the_peer_the_direction_is_unknown(router: Router) -> None:
    found = search(Path([Router(), router], stateful=False))
    assert (found.path_mtu, found.black_hole, found.return_mtu) == (None, False, None)


def test_a_stateless_peer_is_enough_for_reported_limits() -> None:
    found = search(Path([Router(), Router(mtu=1400)], stateful=False))
    assert (found.path_mtu, found.limited_at) == (1400, 2)


def test_a_black_hole_before_the_first_router_is_located_there() -> None:
    path = Path([Router(), Router()])
    found = MtuSearch(traced(path), path.base, 1500)
    path.black_hole_here = 1400
    path.run(found.batches())
    assert (found.path_mtu, found.black_hole, found.limited_at, found.limited_before) == (1400, True, None, 1)


def test_without_answers_of_routers_a_black_hole_has_no_location() -> None:
    found = search(Path([Router(silent=True), Router(mtu=1400, silent=True)]))
    assert (found.path_mtu, found.black_hole, found.limited_at, found.limited_before) == (
        1400,
        True,
        None,
        None,
    )


def test_a_search_that_was_cut_short_locates_nothing() -> None:
    path = Path([Router(), Router(mtu=1400, reports=False)])
    found = MtuSearch(traced(path), path.base, 1500)
    batches = found.batches()
    probes = next(batches)
    while all(probe.ttl == FARTHEST_TTL for probe in probes):
        probes = batches.send(path.answers(probes))
    assert (found.path_mtu, found.black_hole, found.limited_at, found.limited_before) == (
        1400,
        True,
        None,
        None,
    )


def test_a_few_lost_packets_make_no_black_hole() -> None:
    found = search(Path([Router(), Router(mtu=1400)], lost={1, 2}))
    assert (found.path_mtu, found.black_hole) == (1400, False)


def test_a_peer_that_stops_answering_gives_no_result() -> None:
    path = Path([Router()])
    trace = Trace(30, 1)
    path.run(trace.batches())
    path.peer_answers = False
    found = MtuSearch(trace.hops, path.base, 1500)
    path.run(found.batches())
    assert (found.path_mtu, found.black_hole) == (None, False)


def test_a_line_that_fails_during_the_search_is_no_black_hole() -> None:
    found = search(Path([Router(mtu=1400, reports=False)], lost=set(range(5, 500))))
    assert (found.path_mtu, found.black_hole) == (None, False)


def test_a_size_refused_by_the_own_interface_is_no_black_hole() -> None:
    found = search(Path([Router()], interface_mtu=1492))
    assert (found.path_mtu, found.black_hole, found.limited_at) == (1492, False, None)


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
