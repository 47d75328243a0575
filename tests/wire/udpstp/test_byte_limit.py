"""Time at which a test has to end to stay below its byte limit."""

from wire.udpstp.byte_limit import ByteLimit

MS = 1_000_000
START = 10**12


def test_without_a_limit_nothing_ends() -> None:
    assert not ByteLimit(None).spend(10**15, START)


def test_a_steady_load_ends_150_ms_before_its_limit_and_once() -> None:
    limit = ByteLimit(1_000_000)
    ended = [ms for ms in range(1000) if limit.spend(1000 * ms, START + ms * MS)]
    assert ended == [860]
    assert limit.reached


def test_a_burst_beyond_the_limit_ends_at_once() -> None:
    limit = ByteLimit(1000)
    assert not limit.spend(10, START)
    assert limit.spend(1001, START + 1)


def test_equal_or_decreasing_times_still_end_a_test_at_its_limit() -> None:
    for later in (0, -MS):
        limit = ByteLimit(1000)
        assert not limit.spend(10, START)
        assert limit.spend(1000, START + later)


def climb(limit: ByteLimit, bytes_in_ms: list[int], round_trip_ns: int) -> int | None:
    """Milliseconds after which the test ends."""
    total = 0
    for ms, added in enumerate(bytes_in_ms):
        total += added
        if limit.spend(total, START + ms * MS, lambda: (round_trip_ns, 0)):
            return ms
    return None


def test_a_long_round_trip_ends_a_steady_load_earlier_by_as_much() -> None:
    steady = [1000] * 2000
    assert climb(ByteLimit(1_000_000), steady, 0) == 860
    assert climb(ByteLimit(1_000_000), steady, 600 * MS) == 260


def test_a_doubling_rate_is_predicted_to_double_up_to_the_highest() -> None:
    doubling = [1000 * 2 ** (ms // 100) for ms in range(1500)]
    total = sum(doubling[:1200])
    ended = climb(ByteLimit(total, doubles=True), doubling, 200 * MS)
    assert ended is not None
    assert 850 <= ended <= 1000
    too_late = climb(ByteLimit(total, highest_bps=0), doubling, 200 * MS)
    assert too_late > 1000
