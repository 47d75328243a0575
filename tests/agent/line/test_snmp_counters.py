import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs

from agent.line.counters import InterfaceSource, source_of
from agent.line.readings import CounterReading, Reset, Unavailable
from agent.line.snmp_counters import SnmpSource
from agent.settings.sections import LineCountersSettings, SnmpSettings
from host.units import Seconds
from lab.netns import inside
from lab.netns.links.link import KernelLink
from lab.netns.names import LinkNode
from lab.netns.places import FAR_ADDRESS
from lab.netns.settings import KernelLinkSettings
from tests.lab.conftest import kernel  # noqa: F401 -- a fixture
from tests.processes import running, wait_until
from tests.snmp_agents import COMMUNITY, UPTIME, Router, Variables, free_udp_port, snmpd, snmpd_on_loopback
from wire import records

IF_X = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)
IF = (1, 3, 6, 1, 2, 1, 2, 2, 1)
ROUTER_ADDRESS, PORT = "127.0.0.1", 16161
PACKETS, IP_BYTES = 1000, 1028
NO_ETHERNET = (
    "wan0 of the router 127.0.0.1 is no Ethernet (ifType 23):"
    " set frame_bytes to what it counts of each packet beyond the IP layer"
)
Story = Callable[[SnmpSource, Router], Awaitable[None]]


def interface(index: int = 2, name: bytes = b"wan0", kind: int = 6, octets: int = 151_800) -> Variables:
    return {
        UPTIME: 1000,
        (*IF_X, 1, index): name,
        (*IF, 3, index): kind,
        (*IF, 8, index): 1,
        (*IF_X, 6, index): octets,
        (*IF_X, 10, index): 2**63,
        (*IF_X, 7, index): 100,
        (*IF_X, 11, index): 10,
        (*IF_X, 15, index): 1000,
        (*IF_X, 19, index): 0,
    }


def told(router: Router, story: Story, wanted: str | int = "wan0", frame_bytes: int | None = None) -> None:
    async def whole() -> None:
        port = await router.listen()
        chosen = SnmpSettings(
            "127.0.0.1", wanted, port, COMMUNITY, timeout=Seconds(0.2), frame_bytes=frame_bytes
        )
        try:
            await story(SnmpSource(chosen, COMMUNITY), router)
        finally:
            router.close()

    asyncio.run(whole())


def of(reading: CounterReading | Unavailable) -> CounterReading:
    assert isinstance(reading, CounterReading), reading
    return reading


@pytest.mark.parametrize("wanted", ["wan0", 2])
def test_the_routers_counters_are_read_without_frames(wanted: str | int) -> None:
    async def story(source: SnmpSource, router: Router) -> None:
        reading = of(await source.ask())
        assert (reading.frame_bytes, reading.received_ip_bytes) == (18, 150_000)
        assert (reading.carrier, reading.speed_bps, reading.sent_bytes) == (True, 1e9, 2**63)
        assert source.kind is records.LineCounters.SNMP

    told(Router(interface()), story, wanted)


def test_the_search_is_made_once() -> None:
    async def story(source: SnmpSource, router: Router) -> None:
        await source.ask()
        found_with = router.asked
        await source.ask()
        assert router.asked == found_with + 1

    told(Router(interface()), story)


def test_a_restarted_router_and_a_discontinuity_make_a_reset() -> None:
    async def story(source: SnmpSource, router: Router) -> None:
        first = of(await source.ask())
        router.variables[UPTIME] = 5
        second = of(await source.ask())
        assert isinstance(second.since(first), Reset)
        router.variables[(*IF_X, 19, 2)] = 4
        third = of(await source.ask())
        assert isinstance(third.since(second), Reset)
        assert isinstance(of(await source.ask()).since(third), CounterReading)

    told(Router(interface()), story)


def test_an_interface_with_a_new_number_is_found_again() -> None:
    async def story(source: SnmpSource, router: Router) -> None:
        first = of(await source.ask())
        router.variables = interface(7, octets=10**9) | {(*IF_X, 1, 2): b"lan0", (*IF, 3, 2): 6}
        router.variables |= interface(2, b"lan0", octets=10**8)
        second = of(await source.ask())
        assert second.received_bytes == 10**9
        assert isinstance(second.since(first), Reset)

    told(Router(interface()), story)


@pytest.mark.parametrize(("variables", "wanted", "detail"), [
    (interface(), "wan1", "no interface wan1; it has wan0"),
    (interface(), 3, "no interface 3"),
    (interface(kind=23), "wan0", NO_ETHERNET),
])  # fmt: skip
def test_a_wrong_setting_is_reported(variables: Variables, wanted: str | int, detail: str) -> None:
    async def story(source: SnmpSource, router: Router) -> None:
        reading = await source.ask()
        assert isinstance(reading, Unavailable)
        assert reading.detail.endswith(detail)
        assert reading.detail.startswith("line_counters.snmp: ")
        assert COMMUNITY not in reading.detail + repr(source)

    told(Router(variables), story, wanted)


def test_an_agent_that_has_not_counted_its_packets_yet_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(source: SnmpSource, router: Router) -> None:
        async def counts_meanwhile(seconds: float) -> None:
            assert seconds >= 3
            router.variables[(*IF_X, 7, 2)] = 100

        monkeypatch.setattr("agent.line.snmp_counters.asyncio.sleep", counts_meanwhile)
        assert of(await source.ask()).received_packets == 100
        router.variables[(*IF_X, 7, 2)] = 0
        assert of(await source.ask()).received_packets == 100

    told(Router(interface() | {(*IF_X, 7, 2): 0}), story)


def test_an_agent_that_counts_no_packets_will_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(source: SnmpSource, router: Router) -> None:
        async def no_time(seconds: float) -> None:
            pass

        monkeypatch.setattr("agent.line.snmp_counters.asyncio.sleep", no_time)
        reading = await source.ask()
        assert isinstance(reading, Unavailable)
        assert reading.detail.endswith("wan0 of the router 127.0.0.1 counts no packets")

    told(Router(interface() | {(*IF_X, 7, 2): 0}), story)


def test_frame_bytes_of_the_settings_override_the_routers() -> None:
    async def story(source: SnmpSource, router: Router) -> None:
        assert of(await source.ask()).frame_bytes == 8

    told(Router(interface(kind=23)), story, frame_bytes=8)


def test_a_silent_router_is_unavailable_until_it_answers() -> None:
    async def story(source: SnmpSource, router: Router) -> None:
        first = of(await source.ask())
        router.silent = router.asked + 3
        assert isinstance(await source.ask(), Unavailable)
        assert isinstance(of(await source.ask()).since(first), CounterReading)

    told(Router(interface()), story)


def test_a_test_is_never_judged_by_counters_that_lag() -> None:
    chosen = LineCountersSettings("snmp", snmp=SnmpSettings("127.0.0.1", "wan0", community="x"))
    source = source_of(chosen)
    assert isinstance(source.read(), Unavailable)
    assert source.lag_s > 0


def test_the_loopback_of_a_real_snmpd_is_found_and_refused(tmp_path: Path) -> None:
    with snmpd_on_loopback(tmp_path) as port:
        reading = asyncio.run(SnmpSource(SnmpSettings("127.0.0.1", "lo", port), COMMUNITY).ask())
    assert reading == Unavailable("line_counters.snmp.interface: lo of the router 127.0.0.1 is a loopback")


def ask_snmpd(wanted: str) -> CounterReading | Unavailable:
    return asyncio.run(
        SnmpSource(SnmpSettings(ROUTER_ADDRESS, wanted, PORT, timeout=Seconds(0.3)), COMMUNITY).ask()
    )


def read_interface(name: str) -> CounterReading | Unavailable:
    return InterfaceSource(name).read()


@pytest.mark.usefixtures("kernel")
def test_a_real_snmpd_counts_what_the_kernel_counts(tmp_path: Path) -> None:
    """1,000 packets of 1,028 bytes of IP through a router: net-snmp passes on Linux's 14 bytes of frame."""
    with KernelLink(KernelLinkSettings()) as link, inside.executor(link.namespace(LinkNode.ROUTER)) as router:
        command = link.inside(LinkNode.ROUTER, *map(str, snmpd(tmp_path, ROUTER_ADDRESS, PORT)))

        def answers() -> bool:
            return isinstance(router.submit(ask_snmpd, "site").result(), CounterReading)

        with running(command, answers, tmp_path / "snmpd.log"):
            before = of(router.submit(ask_snmpd, "site").result())
            script = (
                "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                f"for _ in range({PACKETS}): s.sendto(bytes({IP_BYTES - 28}), ('{FAR_ADDRESS}', 9))"
            )
            subprocess.run(link.inside(LinkNode.SITE, "python3", "-c", script), check=True)
            kernel = of(router.submit(read_interface, "site").result())
            ask = partial(router.submit, ask_snmpd, "site")
            wait_until(
                lambda: of(ask().result()).received_packets >= kernel.received_packets, "snmpd counts anew"
            )
            told = of(ask().result())
    assert (told.received_bytes, told.sent_bytes) == (kernel.received_bytes, kernel.sent_bytes)
    assert (told.received_packets, told.sent_packets) == (kernel.received_packets, kernel.sent_packets)
    assert (told.frame_bytes, told.carrier) == (14, True)
    added = told.since(before)
    assert isinstance(added, CounterReading)
    # Beside the test there are a few ARP and ICMPv6 packets of less than 100 bytes.
    assert 0 <= added.received_ip_bytes - PACKETS * IP_BYTES < 2000


FAKE = Path(__file__).with_name("fake_snmp.py")
FAKE_HOST = "127.0.8.1"


@pytest.mark.parametrize("wanted", ["wan0", 2])
@pytest.mark.parametrize(
    "mode", ["max8", "max12", "v1style", "rfc2863", "only32", "nobulk", "hczero", "backwards", "hcwrap"]
)
def test_small_agents_are_usable(mode: str, wanted: str | int, tmp_path: Path) -> None:
    """Case B16: 2 Mbit/s down and 0.25 up, by agents that small devices have."""
    port = free_udp_port(FAKE_HOST)
    chosen = SnmpSettings(FAKE_HOST, wanted, port, COMMUNITY, timeout=Seconds(0.2))
    log = tmp_path / "fake.log"

    async def two_readings() -> tuple[CounterReading, CounterReading]:
        source = SnmpSource(chosen, COMMUNITY)
        if mode == "nobulk" and wanted == "wan0":
            told = await source.ask()
            assert isinstance(told, Unavailable)
            assert told.detail.endswith("it lists no interfaces, so give the number (ifIndex) of one")
            source = SnmpSource(structs.replace(chosen, interface=2), COMMUNITY)
        first = of(await source.ask())
        await asyncio.sleep(1.0)
        return first, of(await source.ask())

    with running([sys.executable, "-u", FAKE, str(port), mode], lambda: b"fake" in log.read_bytes(), log):
        first, second = asyncio.run(two_readings())
    added = second.since(first)
    assert isinstance(added, CounterReading)
    assert 140_000 <= added.received_bytes <= 500_000
    assert 10_000 <= added.sent_bytes <= 62_500
    assert 100 <= added.received_packets <= 400 or mode in ("only32", "hczero")


FIELD = FAKE.read_text()
LIMIT = "if MODE.startswith('max') and len(names)>int(MODE[3:]):"
LACKS = "if MODE=='v1style': err=2; ei=q+1"


def limited(most: int, how: str) -> str:
    """The field's agent with another limit of variables a request, answered by ``how``."""
    code = FIELD.replace(LIMIT, f"if len(names)>{most}:")
    return code.replace("if MODE=='max8': err=1  # tooBig", f"if {how == 'tooBig'}: err=1")


def lacking(variable: str, status: int, index: str) -> str:
    """The field's agent without a variable: it answers with this error, at this index."""
    code = FIELD.replace("    return m\ns=", f"    m.pop({variable},None)\n    return m\ns=")
    return code.replace(LACKS, f"if not err: err={status}; ei={index}")


@pytest.mark.parametrize(
    "code",
    [
        *(limited(most, how) for most in (1, 3, 12) for how in ("tooBig", "silence")),
        *(lacking("E+(15,2)", status, "q+1") for status in (2, 5, 6)),
        *(lacking("T+(14,2)", status, "0") for status in (2, 5, 13)),
        lacking("T+(8,2)", 2, "q+1"),
    ],
    ids=[
        *(f"{how} above {most}" for most in (1, 3, 12) for how in ("tooBig", "silence")),
        *(f"ifHighSpeed: error {status}" for status in (2, 5, 6)),
        *(f"ifInErrors: error {status} of none" for status in (2, 5, 13)),
        "ifOperStatus: noSuchName",
    ],
)
def test_agents_of_other_limits_are_usable(code: str, tmp_path: Path) -> None:
    """Kind of case B16: fewer variables a request, and errors about other variables."""
    port = free_udp_port(FAKE_HOST)
    log, program = tmp_path / "fake.log", tmp_path / "fake_snmp.py"
    program.write_text(code)
    source = SnmpSource(SnmpSettings(FAKE_HOST, "wan0", port, COMMUNITY, timeout=Seconds(0.2)), COMMUNITY)
    with running([sys.executable, "-u", program, str(port), "x"], lambda: b"fake" in log.read_bytes(), log):
        reading = of(asyncio.run(source.ask()))
    assert reading.received_bytes >= 10**9
    assert reading.received_packets >= 10**6


def test_an_agent_that_answers_from_another_address_is_reported_truly(tmp_path: Path) -> None:
    port = free_udp_port(FAKE_HOST)
    chosen = SnmpSettings(FAKE_HOST, "wan0", port, COMMUNITY, timeout=Seconds(0.1))
    log = tmp_path / "fake.log"
    with running(
        [sys.executable, "-u", FAKE, str(port), "otheraddr"], lambda: b"fake" in log.read_bytes(), log
    ):
        reading = asyncio.run(SnmpSource(chosen, COMMUNITY).ask())
    assert isinstance(reading, Unavailable)
    assert "answers from another address" in reading.detail
