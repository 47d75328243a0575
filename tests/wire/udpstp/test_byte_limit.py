"""When a test has to end so that it stays below its bytes."""

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
