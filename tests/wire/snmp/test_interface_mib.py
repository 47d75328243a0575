import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from wire.snmp import interface_mib
from wire.snmp.codec import Binding, Missing, Oid, Value
from wire.snmp.interface_mib import CounterBits, InterfaceSearch, InterfaceState, Unreadable

IF_X: Oid = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)
IF: Oid = (1, 3, 6, 1, 2, 1, 2, 2, 1)
NET_SNMP_ON_LINUX: Oid = (1, 3, 6, 1, 4, 1, 8072, 3, 2, 10)
TOLD: dict[Oid, Value] = {
    (1, 3, 6, 1, 2, 1, 1, 3, 0): 100,
    (1, 3, 6, 1, 2, 1, 1, 2, 0): (1, 3, 6, 1, 4, 1, 9, 1, 1),
    (*IF_X, 1, 2): b"wan0",
    (*IF, 3, 2): 6,
    (*IF, 8, 2): 1,
    (*IF_X, 6, 2): 151_800,
    (*IF_X, 10, 2): 7_800,
    **{
        (*IF_X, column, 2): count
        for column, count in zip((7, 8, 9, 11, 12, 13), (97, 2, 1, 98, 1, 1), strict=True)
    },
    **{(*IF, column, 2): count for column, count in zip((14, 13, 20, 19), (1, 2, 3, 4), strict=True)},
    (*IF_X, 15, 2): 100,
    (*IF_X, 19, 2): 0,
}
STATE = InterfaceState("wan0", 6, False, 100, 0, 151_800, 100, 7_800, 100, 1, 2, 3, 4, True, 100e6)


def answer(changes: dict[Oid, Value] | None = None) -> list[Binding]:
    told = TOLD | (changes or {})
    return [Binding(oid, told.get(oid, Missing.NO_SUCH_INSTANCE)) for oid in interface_mib.question(2)]


def test_one_request_reads_all_of_an_interface() -> None:
    assert interface_mib.state(answer(), 2) == STATE


def test_a_missing_interface_is_reported_as_gone() -> None:
    missing = [Binding(one.oid, Missing.NO_SUCH_INSTANCE) for one in answer()]
    assert interface_mib.state(missing, 2) == Unreadable("no interface 2", gone=True)


@pytest.mark.parametrize(
    ("missing", "narrower"), [((*IF_X, 6, 2), CounterBits(32, 64)), ((*IF_X, 7, 2), CounterBits(64, 32))]
)
def test_a_router_without_64_bit_counters_is_asked_for_those_of_32_bits(
    missing: Oid, narrower: CounterBits
) -> None:
    told = interface_mib.state(answer({missing: Missing.NO_SUCH_INSTANCE}), 2)
    assert isinstance(told, Unreadable)
    assert told.narrower == narrower


def test_counters_of_32_bits_are_read_with_the_old_speed_and_description() -> None:
    bits = CounterBits(32, 32)
    told: dict[Oid, Value] = {(*IF, column, 2): column for column in (5, 10, 11, 12, 16, 17, 18)}
    told |= {(*IF, 2, 2): b"WAN", (*IF, 3, 2): 6}
    state = interface_mib.state(
        [Binding(oid, told.get(oid, Missing.NO_SUCH_OBJECT)) for oid in interface_mib.question(2, bits)],
        2,
        bits,
    )
    assert isinstance(state, InterfaceState)
    assert (state.name, state.speed_bps, state.bits) == ("WAN", 5.0, bits)
    assert (state.received_octets, state.sent_octets) == (10, 16)
    assert (state.received_packets, state.sent_packets) == (11 + 12, 17 + 18)


def test_an_agent_that_counts_no_packets_leaves_frames_in_its_octets() -> None:
    told: dict[Oid, Value] = {(*IF, 10, 2): 10, (*IF, 16, 2): 16, (*IF, 3, 2): 6}
    only_octets = [Binding(oid, value) for oid, value in told.items()]
    first = interface_mib.state(only_octets, 2, CounterBits(32, 32))
    assert isinstance(first, Unreadable)
    assert first.narrower == CounterBits(32, 0)
    state = interface_mib.state(only_octets, 2, first.narrower)
    assert isinstance(state, InterfaceState)
    assert (state.received_octets, state.received_packets, state.half_initialised) == (10, 0, False)


def test_an_interface_without_octets_is_unreadable() -> None:
    assert interface_mib.state([Binding((*IF, 3, 2), 6)], 2, CounterBits(32, 0)) == Unreadable(
        "it counts no octets of that interface (ifHCInOctets, ifInOctets; RFC 2863)"
    )


def test_values_that_a_router_does_not_report_are_none() -> None:
    gone = dict.fromkeys(((*IF, 14, 2), (*IF, 8, 2), (*IF_X, 8, 2)), Missing.NO_SUCH_INSTANCE)
    told = interface_mib.state(answer({**gone, (*IF_X, 15, 2): 0}), 2)
    assert told == replace(STATE, received_errors=None, up=None, speed_bps=None, received_packets=98)


@pytest.mark.parametrize(
    ("kind", "net_snmp", "frame_bytes"),
    [(6, False, 18), (117, False, 18), (6, True, 14), (23, True, 0), (131, True, 0), (23, False, None)],
)
def test_bytes_counted_beyond_the_ip_layer(kind: int, net_snmp: bool, frame_bytes: int | None) -> None:
    assert replace(STATE, kind=kind, net_snmp=net_snmp).frame_bytes == frame_bytes


def test_net_snmp_is_recognised_by_its_object_id() -> None:
    assert interface_mib.state(answer({(1, 3, 6, 1, 2, 1, 1, 2, 0): NET_SNMP_ON_LINUX}), 2).net_snmp


@pytest.mark.parametrize(("now", "anew"), [
    (replace(STATE, uptime_ticks=101), False), (replace(STATE, uptime_ticks=99), True),
    (replace(STATE, uptime_ticks=200, discontinuity_ticks=150), True),
    (replace(STATE, received_octets=151_918, received_packets=102), False),
    (replace(STATE, received_octets=151_900, received_packets=106), True),
    (replace(STATE, sent_packets=2**64 - 1), True),
])  # fmt: skip
def test_a_restart_or_a_discontinuity_resets_the_counters(now: InterfaceState, anew: bool) -> None:
    assert now.counters_reset_since(STATE) is anew


class Router:
    """Router that answers GETBULK from its variables, in the order of their names."""

    def __init__(self, variables: dict[Oid, Value]) -> None:
        self._rows = sorted(variables.items())
        self.asked = 0

    def find(self, wanted: str, repetitions: int = 3) -> int | Unreadable:
        search = InterfaceSearch(wanted)
        while search.found is None:
            self.asked += 1
            following = [Binding(*row) for row in self._rows if row[0] > search.after][:repetitions]
            if len(following) < repetitions:
                following.append(Binding((1, 4), Missing.END_OF_MIB_VIEW))
            search.take(following)
        return search.found


def names(column: Oid, **interfaces: int) -> dict[Oid, Value]:
    return {(*column, index): name.encode() for name, index in interfaces.items()}


ROUTER = {
    **names((*IF_X, 1), lo=1, eth0=2, eth1=3, ppp0=9),
    **names((*IF, 2), Loopback=1, GigabitEthernet0=2, eth0=3, Dialer=9),
    **names((*IF_X, 18), LINE=9),
}


LISTED = "it has lo, eth0, eth1, ppp0, Loopback, GigabitEthernet0, Dialer"
TWICE = {(*IF_X, 18, 1): b"line", (*IF_X, 18, 2): b"line"}


@pytest.mark.parametrize(("variables", "wanted", "found"), [
    (ROUTER, "eth0", 2), (ROUTER, "GigabitEthernet0", 2), (ROUTER, "LINE", 9), (ROUTER, "ppp0", 9),
    (ROUTER, "wan", Unreadable(f"no interface wan; {LISTED}", gone=True)),
    ({}, "wan", Unreadable("no interface wan; it has none that this community may see", gone=True)),
    (TWICE, "line", Unreadable("2 interfaces line: give the number (ifIndex) of one")),
])  # fmt: skip
def test_an_interface_is_found_by_name_then_description_then_alias_or_refused_with_the_known_names(
    variables: dict[Oid, Value], wanted: str, found: int | Unreadable
) -> None:
    assert Router(variables).find(wanted) == found


def test_the_search_ends_with_an_endless_table() -> None:
    endless = Router({(*IF_X, 1, index): b"x" for index in range(1, 10_000)})
    assert endless.find("wan", 20) == Unreadable("more than 4096 rows: give the interface's number (ifIndex)")
    assert endless.asked < 300


def test_the_search_ends_with_a_table_that_repeats() -> None:
    search = InterfaceSearch("wan")
    for _ in range(10):
        if search.found is None:
            search.take([Binding((*IF_X, 1, 5), b"x"), Binding((*IF_X, 1, 5), b"x")])
    assert isinstance(search.found, Unreadable)


@given(
    st.lists(
        st.builds(
            Binding,
            st.tuples(st.sampled_from([*ROUTER, (1, 3), (1, 3, 6)])).map(lambda chosen: chosen[0]),
            st.one_of(st.binary(max_size=5), st.integers(), st.sampled_from(list(Missing)), st.none()),
        ),
        max_size=6,
    )
)
def test_no_response_raises_an_exception(bindings: list[Binding]) -> None:
    assert isinstance(interface_mib.state(bindings, 2), InterfaceState | Unreadable)
    search = InterfaceSearch("wan")
    for _ in range(4):
        if search.found is None:
            search.take(bindings)
