import pytest
from msgspec.structs import replace

from agent.probes import PROBES
from agent.probes.path.figures import figures
from agent.report.measurement import ReportLine, Tone, line, overall, sentence
from agent.report.remedies import REMEDIES
from tests.outbox.journalled import CLOCK
from wire.records import (
    Cause,
    Direction,
    Failure,
    Finding,
    FloorMeasurement,
    FloorTest,
    FloorValues,
    Hop,
    LineCounters,
    Outcome,
    PathValues,
    Purpose,
    ReachabilityMeasurement,
    ReachabilityValues,
    Record,
    Spread,
    StampMeasurement,
    StampValues,
    Standing,
    UnknownMeasurement,
    Verdict,
)

TEST = FloorTest(
    session="s",
    planned_bps=8e6,
    finding=Finding.CLEAR,
    sent_bps=8e6,
    received_bps=8e6,
    duration_us=2_000_000,
    sent_packets=2000,
    received_packets=2000,
    loss_ratio=0.0,
    slope=0.0,
    queue_growth_us=0,
)
VALUES = FloorValues(
    verdict=Verdict.PASS, floor_bps=8e6, line_counters=LineCounters.INLINE, tests=(TEST,), at_least_bps=7.95e6
)
OUTAGE = ReachabilityMeasurement(
    epoch="0" * 16,
    seq=1,
    purpose=Purpose.ON_DEMAND,
    peer="p",
    start=CLOCK,
    duration_us=1,
    outcome=Outcome.OK,
    detail="broker does not answer",
    values=ReachabilityValues(outage="one", cause=Cause.BROKER, begin=CLOCK, begin_error_us=1),
)
FLOOR = FloorMeasurement(
    epoch="0" * 16,
    seq=1,
    purpose=Purpose.ON_DEMAND,
    peer="p",
    start=CLOCK,
    duration_us=1,
    outcome=Outcome.OK,
    direction=Direction.DOWN,
    values=VALUES,
)
STAMP = StampMeasurement(
    epoch="0" * 16,
    seq=1,
    purpose=Purpose.ON_DEMAND,
    peer="p",
    start=CLOCK,
    duration_us=1,
    outcome=Outcome.OK,
    dscp=46,
    values=StampValues(
        sent=20,
        received=19,
        timeout_us=1,
        loss_ratio=0.05,
        loss_forward_ratio=0.05,
        loss_return_ratio=0.0,
        rtt=Spread(min_us=20_100, p50_us=20_400, p95_us=31_000, p99_us=40_123),
        variation_forward=Spread(min_us=0, p50_us=1, p95_us=2_500, p99_us=3),
    ),
)


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        (
            FLOOR,
            ReportLine(
                "floor down",
                Tone.PASS,
                "pass",
                "at least 8.00 Mbit/s, floor 8.00 Mbit/s, token bucket not excluded",
                "",
            ),
        ),
        (
            replace(
                FLOOR,
                values=replace(
                    VALUES,
                    tests=(),
                    line_counters=LineCounters.INLINE,
                    at_least_bps=9.5e6,
                    passive_us=4_000_000,
                ),
            ),
            ReportLine(
                "floor down",
                Tone.PASS,
                "pass",
                "at least 9.50 Mbit/s, floor 8.00 Mbit/s, carried by the site's own traffic for 4.0 s",
                "",
            ),
        ),
        (
            replace(
                FLOOR,
                values=replace(
                    VALUES,
                    verdict=Verdict.FAIL,
                    capacity_bps=6.5e6,
                    standing=Standing.CONDEMNED,
                    search_bps=6.6e6,
                ),
            ),
            ReportLine(
                "floor down",
                Tone.FAIL,
                "fail",
                "6.50 Mbit/s, floor 8.00 Mbit/s, a search found 6.60 Mbit/s at most, direction condemned",
                "",
            ),
        ),
        (
            replace(
                FLOOR, values=replace(VALUES, verdict=Verdict.FAIL, capacity_bps=6.5e6, loss_ratio=0.012)
            ),
            ReportLine("floor down", Tone.FAIL, "fail", "6.50 Mbit/s, floor 8.00 Mbit/s, loss 1.2 %", ""),
        ),
        (
            replace(
                FLOOR,
                values=replace(VALUES, verdict=Verdict.UNCONFIRMED, capacity_bps=6.5e6),
                detail="the site's own traffic is not known",
            ),
            ReportLine(
                "floor down",
                Tone.NEITHER,
                "unconfirmed",
                "6.50 Mbit/s, floor 8.00 Mbit/s",
                "the site's own traffic is not known",
            ),
        ),
        (
            replace(FLOOR, outcome=Outcome.FAILED, failure=Failure.PEER_BUSY, values=None),
            ReportLine("floor down", Tone.NEITHER, "failed", "", REMEDIES[Failure.PEER_BUSY]),
        ),
        (
            STAMP,
            ReportLine(
                "stamp dscp 46",
                Tone.MEASURED,
                "ok",
                "RTT min/p50/p95/p99 20.10/20.40/31.00/40.12 ms, loss up 5 % down 0 %, "
                "variation up p95 2.50 ms",
                "",
            ),
        ),
        (
            replace(
                STAMP, outcome=Outcome.FAILED, failure=Failure.NO_ANSWER, detail="nothing came", values=None
            ),
            ReportLine(
                "stamp dscp 46", Tone.NEITHER, "failed", "", f"nothing came ({REMEDIES[Failure.NO_ANSWER]})"
            ),
        ),
        (
            OUTAGE,
            ReportLine(
                "reachability", Tone.MEASURED, "outage", "outage, cause broker", "broker does not answer"
            ),
        ),
        (
            replace(OUTAGE, values=replace(OUTAGE.values, end=CLOCK, end_error_us=1)),
            ReportLine(
                "reachability",
                Tone.MEASURED,
                "ok",
                "outage over after 0 s, cause broker",
                "broker does not answer",
            ),
        ),
        (
            UnknownMeasurement(
                probe="outage-cause",
                epoch="0" * 16,
                seq=1,
                purpose=Purpose.SCHEDULED,
                peer="p",
                start=CLOCK,
                duration_us=1,
                outcome=Outcome.OK,
            ),
            ReportLine("outage-cause", Tone.MEASURED, "ok", "", ""),
        ),
        (
            UnknownMeasurement(
                probe="floor",
                epoch="0" * 16,
                seq=1,
                purpose="audit",
                peer="p",
                start=CLOCK,
                duration_us=1,
                outcome=Outcome.OK,
                failure="moon-phase",
            ),
            ReportLine("floor", Tone.NEITHER, "ok", "", "moon-phase"),
        ),
    ],
)
def test_a_measurement_as_a_person_reads_it(record: Record, shown: ReportLine) -> None:
    assert line(record) == shown


@pytest.mark.parametrize(
    ("rtt", "told"),
    [
        ((20_100, 20_400, 31_000, 40_123), "20.10/20.40/31.00/40.12 ms"),
        ((100, 101, 200, 300), "0.10/0.10/0.20/0.30 ms"),
        ((31, 42, 80, 99), "31/42/80/99 µs"),
        ((0, 4, 80, 99), "<1/4/80/99 µs"),
        ((42, 99, 100, 12_000), "42 µs/99 µs/0.10 ms/12.00 ms"),
    ],
)
def test_what_took_next_to_no_time_is_not_told_as_none(rtt: tuple[int, int, int, int], told: str) -> None:
    least, p50, p95, p99 = rtt
    assert STAMP.values
    values = replace(STAMP.values, rtt=Spread(min_us=least, p50_us=p50, p95_us=p95, p99_us=p99))
    assert line(replace(STAMP, values=values)).figures == (
        f"RTT min/p50/p95/p99 {told}, loss up 5 % down 0 %, variation up p95 2.50 ms"
    )


@pytest.mark.parametrize(
    ("hops", "reached", "told"),
    [(1, True, "1 hop"), (2, True, "2 hops"), (1, False, "not reached within 1 hop")],
)
def test_one_hop_is_not_hops(hops: int, reached: bool, told: str) -> None:
    seen = tuple(Hop(ttl=ttl + 1, sent=3, answered=3) for ttl in range(hops))
    assert figures(PathValues(hops=seen, reached=reached)) == told


def test_every_failure_has_its_remedy() -> None:
    assert set(REMEDIES) == set(Failure)


@pytest.mark.parametrize(
    ("tones", "verdict"),
    [
        ([Tone.PASS, Tone.PASS], Tone.PASS),
        ([Tone.PASS, Tone.MEASURED], Tone.PASS),
        ([Tone.MEASURED, Tone.MEASURED], Tone.MEASURED),
        ([Tone.MEASURED, Tone.NEITHER], Tone.NEITHER),
        ([Tone.PASS, Tone.NEITHER], Tone.NEITHER),
        ([Tone.PASS, Tone.NEITHER, Tone.FAIL], Tone.FAIL),
        ([], Tone.NEITHER),
    ],
)
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
