"""Chain of routers in namespaces, measured by the path probe and the STAMP probe. Skipped without root."""

import subprocess
from pathlib import Path

import pytest

from lab.netns import names
from lab.netns.links.chain import Chain, ChainRouter, ChainSettings
from lab.netns.requirements import KernelLinkError
from lab.testbed.path_testbed import PathRow, PathTestbed, measure_path
from wire.records import Outcome, PathValues, StampValues

pytestmark = pytest.mark.usefixtures("kernel")

PLAIN = ChainRouter()
REWRITTEN_AND_NARROW = ChainSettings((PLAIN, ChainRouter(sets_dscp=0), ChainRouter(mtu=1400)))


def wrong(rows: list[PathRow]) -> list[PathRow]:
    return [row for row in rows if not row.right]


def found(rows: list[PathRow]) -> dict[str, str | None]:
    return {row.what: row.ours for row in rows}


def path_values(settings: ChainSettings, folder: Path, *, over_ipv6: bool = False) -> PathValues:
    with PathTestbed(folder, settings, over_ipv6=over_ipv6) as testbed:
        reading = testbed.measure("path", 46)
    assert reading.outcome is Outcome.OK, reading
    assert isinstance(reading.values, PathValues)
    return reading.values


def test_a_rewritten_mark_and_a_narrow_link_are_both_found() -> None:
    rows = measure_path(REWRITTEN_AND_NARROW)
    assert not wrong(rows)
    assert found(rows)["DSCP changed between hops"] == "2-3"
    assert (found(rows)["narrow link behind hop"], found(rows)["path MTU"]) == ("3", "1400")


def test_an_unchanged_path_is_reported_as_unchanged() -> None:
    rows = measure_path(ChainSettings())
    assert not wrong(rows)
    assert found(rows)["path MTU"] == "1500"


def test_a_silent_router_and_a_black_hole_behind_it() -> None:
    silent = ChainRouter(silent=True, sets_dscp=0)
    rows = measure_path(ChainSettings((PLAIN, silent, ChainRouter(mtu=1400, tells_mtu=False))))
    assert not wrong(rows)
    assert (found(rows)["hop 2"], found(rows)["black hole"]) == (None, "True")


def test_loss_on_the_way_back_is_no_black_hole(tmp_path: Path) -> None:
    values = path_values(ChainSettings((PLAIN, ChainRouter(drops_back_above=1300), PLAIN)), tmp_path)
    assert (values.path_mtu_bytes, values.return_mtu_bytes, values.black_hole) == (1500, 1300, False)
    assert values.mtu_limited_at is None


def test_the_path_is_measured_over_ipv6(tmp_path: Path) -> None:
    values = path_values(REWRITTEN_AND_NARROW, tmp_path, over_ipv6=True)
    assert [hop.address for hop in values.hops] == [f"fd91::{link}:2" for link in range(1, 5)]
    assert (values.reached, values.dscp_changed_at, values.dscp_became) == (True, 3, 0)
    assert (values.path_mtu_bytes, values.mtu_limited_at, values.mtu_reported_bytes) == (1400, 3, 1400)


def test_the_detail_names_the_hops(tmp_path: Path) -> None:
    with PathTestbed(tmp_path, REWRITTEN_AND_NARROW) as testbed:
        reading = testbed.measure("path", 46)
    assert reading.detail == (
        "DSCP 46 becomes 0 between hop 2 (10.91.2.2) and hop 3 (10.91.3.2); "
        "packets above 1400 B are refused behind hop 3 (10.91.3.2)"
    )
    assert 0 < reading.bytes_received < reading.bytes_sent < 20_000


@pytest.mark.parametrize("over_ipv6", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(
    ("router", "there", "back", "detail"),
    [
        (ChainRouter(sets_dscp=0), 0, 46, "DSCP 46 reached the peer as 0"),
        (ChainRouter(sets_dscp_back=10), 46, 10, "the replies' DSCP 46 arrived as 10"),
        (
            ChainRouter(sets_dscp=0, sets_dscp_back=10),
            0,
            10,
            "DSCP 46 reached the peer as 0; the replies' DSCP 46 arrived as 10",
        ),
    ],
    ids=["there", "back", "both"],
)
def test_stamp_distinguishes_remarking_up_and_down(
    router: ChainRouter, there: int, back: int, detail: str, over_ipv6: bool, tmp_path: Path
) -> None:
    with PathTestbed(tmp_path, ChainSettings((PLAIN, router)), over_ipv6=over_ipv6) as testbed:
        reading = testbed.measure("stamp", 46)
    assert (reading.outcome, reading.detail) == (Outcome.OK, detail)
    values = reading.values
    assert isinstance(values, StampValues)
    assert (values.forward_dscp, values.reply_dscp, values.requested_dscp) == (there, back, 46)
    assert not values.reply_refused


def test_a_chain_has_no_way_out_and_leaves_nothing() -> None:
    with Chain(ChainSettings((PLAIN,))) as chain:
        assert {chain.site, chain.far} <= set(names.present())
        devices = subprocess.run(
            chain.inside(chain.far, "ls", "/sys/class/net"), capture_output=True, text=True, check=True
        ).stdout.split()
        assert devices == ["lo", "near"]
        left = [name for name in names.present() if name.startswith(chain.site.removesuffix("site"))]
        assert len(left) == 3
    assert not set(left) & set(names.present())


def test_what_a_killed_creator_left_of_a_chain_counts_as_stale() -> None:
    gone = ["plancher-1-1-0-site", "plancher-1-1-0-r1", "plancher-1-1-0-r12", "plancher-1-1-0-far"]
    assert names.stale([*gone, "plancher-1-1-0-rx"]) == gone


def test_without_a_namespace_nothing_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.netns.requirements.lacking", lambda: ("root",))
    with pytest.raises(KernelLinkError, match=r"^a chain of routers needs root$"), Chain(ChainSettings()):
        pass
