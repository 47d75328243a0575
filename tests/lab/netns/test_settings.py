import pytest

from lab.links.line import LineSettings
from lab.netns.settings import KernelLineSettings, KernelLinkSettings


@pytest.mark.parametrize(("line", "bucket", "limit"), [
    (KernelLineSettings(rate=8_000_000, queue=100_000), 5000, 100_000),
    (KernelLineSettings(rate=100_000_000, queue=100_000), 25_000, 100_000),
    (KernelLineSettings(rate=6_000_000, queue=60_000, burst=2_000_000), 2_000_000, 60_000),
    (KernelLineSettings(rate=7_600_000, queue=60_000, policer=True), 5000, 1500),
])  # fmt: skip
def test_the_kernel_gets_the_bucket_it_needs(line: KernelLineSettings, bucket: int, limit: int) -> None:
    assert line.faults() == ()
    assert (line.bucket, line.limit) == (bucket, limit)


@pytest.mark.parametrize(("line", "fault"), [
    (KernelLineSettings(policer=True), "a policer needs a rate"),
    (KernelLineSettings(queue=2**31 + 1), "queue and burst must be at most 2147483648 B, the kernel's limit"),
    (KernelLineSettings(burst=9000), "a burst needs a rate"),
    (KernelLineSettings(rate=8_000_000), "the queue needs room for at least 1500 B, not 0 B"),
    (KernelLineSettings(loss=1.5), "loss must lie between 0 and 1, not 1.5"),
    (KernelLineSettings(duplication=-0.1), "duplication must lie between 0 and 1, not -0.1"),
    (KernelLineSettings(reordering=0.01), "reordering needs a reordering delay"),
    (KernelLineSettings(rate=100, queue=1500),
     "a bucket of 5000 B needs a rate of at least 160 bit/s, not 100"),
])  # fmt: skip
def test_impossible_settings_are_reported(line: KernelLineSettings, fault: str) -> None:
    assert line.faults() == (fault,)


def test_delay_jitter_and_reordering_need_a_wire() -> None:
    assert not KernelLineSettings(rate=8_000_000, queue=9000, loss=0.1).wired
    line = KernelLineSettings(delay=3, jitter=2, reordering=0.1, reordering_delay=7, seed=5, loss=0.2)
    assert line.wired
    assert line.wire == LineSettings(delay=3, jitter=2, reordering=0.1, reordering_delay=7, seed=5)


def test_a_fault_names_its_direction() -> None:
    settings = KernelLinkSettings(KernelLineSettings(loss=2), KernelLineSettings(rate=8_000_000))
    assert settings.faults() == (
        "down: loss must lie between 0 and 1, not 2",
        "up: the queue needs room for at least 1500 B, not 0 B",
    )
