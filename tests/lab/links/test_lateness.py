"""Lateness is told within the width of a bucket."""

from lab.links.lateness import Lateness


def test_quantiles_are_upper_edges_of_5_microsecond_buckets() -> None:
    lateness = Lateness()
    assert lateness.quantile(0.5) is None
    for late in (*[12_000] * 98, 42_000, 3_000_000_000):
        lateness.add(late)
    assert [lateness.quantile(share) for share in (0.5, 0.99, 1)] == [15_000, 45_000, 100_000_000]
    assert (lateness.count, lateness.largest) == (100, 3_000_000_000)
