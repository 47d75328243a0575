"""Quantities of the command line."""

from collections.abc import Callable

import pytest

from lab.links import quantities


@pytest.mark.parametrize(("read", "text", "value"), [
    (quantities.rate, "8.4M", 8_400_000),
    (quantities.rate, "8.4Mbit/s", 8_400_000),
    (quantities.rate, "500k", 500_000),
    (quantities.rate, "1G", 10**9),
    (quantities.rate, "64000", 64_000),
    (quantities.duration, "10ms", 10**7),
    (quantities.duration, "0.25ms", 250_000),
    (quantities.duration, "1.5s", 1_500_000_000),
    (quantities.duration, "0", 0),
    (quantities.size, "2MB", 2_000_000),
    (quantities.size, "1500B", 1500),
    (quantities.size, "0", 0),
    (quantities.share, "1%", 0.01),
    (quantities.share, "100%", 1.0),
    (quantities.share, "0", 0.0),
])  # fmt: skip
def test_a_quantity_means_one_thing(read: Callable[[str], float], text: str, value: float) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    "text", ["", "8,4M", "8.4 M", "8.4m", "-1M", "1e6", "8.4MB", ".5M", "\u0668M", "1M "]
)
def test_other_text_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        quantities.rate(text)
    assert str(caught.value) == f"expected a rate such as 8.4M (bit/s; k, M or G), got {text!r}"


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (quantities.duration, "10", "expected a time such as 10ms (us, ms or s), got '10'"),
        (quantities.size, "64", "expected a size such as 64kB (B, kB or MB), got '64'"),
        (quantities.size, "0.5B",
         "expected a size such as 64kB (B, kB or MB), got '0.5B', which is finer than the smallest unit"),
        (quantities.share, "0.01", "expected a share such as 1%, got '0.01'"),
        (quantities.share, "101%", "expected a share such as 1%, at most 100%, got '101%'"),
    ],
)  # fmt: skip
def test_mistakes_are_reported_with_an_example(read: Callable[[str], float], text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(text)
    assert str(caught.value) == message
