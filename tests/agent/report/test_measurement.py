import pytest
from msgspec.structs import replace

from agent.probes import PROBES
from agent.probes.path.figures import figures
from agent.report.measurement import ReportLine, Tone, line, overall, sentence
from agent.report.remedies import OUTAGES, REMEDIES
from tests.collector import examples
from wire.records import (
    Cause,
    Failure,
    Hop,
    Outcome,
    PathValues,
    Record,
    Spread,
    StampValues,
    Standing,
    UnknownMeasurement,
    Verdict,
)

OUTAGE = replace(examples.outage(1, 0, cause=Cause.BROKER), detail="broker does not answer")
VALUES = examples.floor_values(at_least_bps=7.95e6)
FLOOR = examples.floor(values=VALUES)
BELOW = replace(VALUES, verdict=Verdict.FAIL, capacity_bps=6.5e6)
TRAIN = StampValues(
    sent=20, received=19, timeout_us=1, loss_ratio=0.05, loss_forward_ratio=0.05, loss_return_ratio=0.0,
    rtt=Spread(min_us=20_100, p50_us=20_400, p95_us=31_000, p99_us=40_123),
    variation_forward=Spread(min_us=0, p50_us=1, p95_us=2_500, p99_us=3),
)  # fmt: skip
STAMP = examples.stamp(values=TRAIN)
COMMON = examples.common(1, 0, 1)
NOTHING = {"outcome": Outcome.FAILED, "values": None}
MBIT_8 = "floor 8.00 Mbit/s"


@pytest.mark.parametrize(("record", "shown"), [
    (
        FLOOR,
        ("floor down", Tone.PASS, "pass", f"at least 8.00 Mbit/s, {MBIT_8}, token bucket not excluded", ""),
    ),
    (
        replace(FLOOR, values=replace(VALUES, tests=(), at_least_bps=9.5e6, passive_us=4_000_000)),
        ("floor down", Tone.PASS, "pass",
         f"at least 9.50 Mbit/s, {MBIT_8}, carried by the site's own traffic for 4.0 s", ""),
    ),
    (
        replace(FLOOR, values=replace(BELOW, standing=Standing.CONDEMNED, search_bps=6.6e6)),
        ("floor down", Tone.FAIL, "fail",
         f"6.50 Mbit/s, {MBIT_8}, a search found 6.60 Mbit/s at most, direction condemned", ""),
    ),
    (
        replace(FLOOR, values=replace(BELOW, loss_ratio=0.012)),
        ("floor down", Tone.FAIL, "fail", f"6.50 Mbit/s, {MBIT_8}, loss 1.2 %", ""),
    ),
    (
        replace(FLOOR, values=replace(BELOW, verdict=Verdict.UNCONFIRMED), detail="its traffic is not known"),
        ("floor down", Tone.NEITHER, "unconfirmed", f"6.50 Mbit/s, {MBIT_8}", "its traffic is not known"),
    ),
    (
        replace(FLOOR, failure=Failure.PEER_BUSY, **NOTHING),
        ("floor down", Tone.NEITHER, "failed", "", REMEDIES[Failure.PEER_BUSY]),
    ),
    (
        STAMP,
        ("stamp dscp 46", Tone.MEASURED, "ok",
         "RTT min/p50/p95/p99 20.10/20.40/31.00/40.12 ms, loss up 5 % down 0 %, variation up p95 2.50 ms",
         ""),
    ),
    (
        replace(STAMP, failure=Failure.NO_ANSWER, detail="nothing came", **NOTHING),
        ("stamp dscp 46", Tone.NEITHER, "failed", "", f"nothing came ({REMEDIES[Failure.NO_ANSWER]})"),
    ),
    (
        OUTAGE,
        ("reachability", Tone.FAIL, "outage", "cause broker",
         f"broker does not answer ({OUTAGES[Cause.BROKER]})"),
    ),
    (replace(OUTAGE, detail=""),
     ("reachability", Tone.FAIL, "outage", "cause broker", OUTAGES[Cause.BROKER])),
    (
        replace(OUTAGE, values=replace(OUTAGE.values, end=OUTAGE.values.begin, end_error_us=1)),
        ("reachability", Tone.MEASURED, "ok", "outage over after 0 s, cause broker", OUTAGE.detail),
    ),
    (UnknownMeasurement(probe="outage-cause", **COMMON), ("outage-cause", Tone.MEASURED, "ok", "", "")),
    (
        UnknownMeasurement(probe="floor", **COMMON | {"purpose": "audit", "failure": "moon-phase"}),
        ("floor", Tone.NEITHER, "ok", "", "moon-phase"),
    ),
])  # fmt: skip
def test_a_measurement_as_a_person_reads_it(record: Record, shown: tuple[str, Tone, str, str, str]) -> None:
    assert line(record) == ReportLine(*shown)


@pytest.mark.parametrize(("rtt", "shown"), [
    ((20_100, 20_400, 31_000, 40_123), "20.10/20.40/31.00/40.12 ms"),
    ((100, 101, 200, 300), "0.10/0.10/0.20/0.30 ms"),
    ((31, 42, 80, 99), "31/42/80/99 µs"),
    ((0, 4, 80, 99), "<1/4/80/99 µs"),
    ((42, 99, 100, 12_000), "42 µs/99 µs/0.10 ms/12.00 ms"),
])  # fmt: skip
def test_what_took_next_to_no_time_is_not_shown_as_none(rtt: tuple[int, int, int, int], shown: str) -> None:
    least, p50, p95, p99 = rtt
    values = replace(TRAIN, rtt=Spread(min_us=least, p50_us=p50, p95_us=p95, p99_us=p99))
    assert line(replace(STAMP, values=values)).figures == (
        f"RTT min/p50/p95/p99 {shown}, loss up 5 % down 0 %, variation up p95 2.50 ms"
    )


@pytest.mark.parametrize(
    ("hops", "reached", "shown"),
    [(1, True, "1 hop"), (2, True, "2 hops"), (1, False, "not reached within 1 hop")],
)
def test_one_hop_is_not_hops(hops: int, reached: bool, shown: str) -> None:
    seen = tuple(Hop(ttl=ttl + 1, sent=3, answered=3) for ttl in range(hops))
    assert figures(PathValues(hops=seen, reached=reached)) == shown


def test_every_failure_has_its_remedy() -> None:
    assert set(REMEDIES) == set(Failure)


@pytest.mark.parametrize(("tones", "verdict"), [
    ([Tone.PASS, Tone.PASS], Tone.PASS),
    ([Tone.PASS, Tone.MEASURED], Tone.PASS),
    ([Tone.MEASURED, Tone.MEASURED], Tone.MEASURED),
    ([Tone.MEASURED, Tone.NEITHER], Tone.NEITHER),
    ([Tone.PASS, Tone.NEITHER], Tone.NEITHER),
    ([Tone.PASS, Tone.NEITHER, Tone.FAIL], Tone.FAIL),
    ([], Tone.NEITHER),
])  # fmt: skip
def test_one_verdict_for_several(tones: list[Tone], verdict: Tone) -> None:
    assert overall([ReportLine("x", tone, "", "", "") for tone in tones]) is verdict


def test_a_log_line_says_what_the_table_says() -> None:
    missed = replace(
        FLOOR,
        values=replace(VALUES, verdict=Verdict.UNCONFIRMED, capacity_bps=6e6),
        detail="line_counters.source is none",
    )
    assert sentence(missed) == (
        "floor down: unconfirmed; 6.00 Mbit/s, floor 8.00 Mbit/s; line_counters.source is none"
    )
    assert (
        sentence(FLOOR)
        == "floor down: pass; at least 8.00 Mbit/s, floor 8.00 Mbit/s, token bucket not excluded"
    )


def test_a_probe_may_name_whose_fault_its_failures_are(monkeypatch: pytest.MonkeyPatch) -> None:
    own = replace(PROBES["stamp"], remedies={Failure.NO_ANSWER: "the reflector"})
    monkeypatch.setitem(PROBES, "stamp", own)  # type: ignore[arg-type]
    missed = replace(STAMP, outcome=Outcome.FAILED, failure=Failure.NO_ANSWER, values=None)
    assert line(missed).advice == "the reflector"
    assert line(replace(missed, failure=Failure.PEER_BUSY)).advice == REMEDIES[Failure.PEER_BUSY]
