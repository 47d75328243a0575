import pytest

from peer import reputation
from peer.reputation import Holder, Reputation, Trust

S = 1_000_000_000
SITE, OTHER = Holder(1, "192.0.2.1"), Holder(1, "192.0.2.2")


@pytest.mark.parametrize(("proofs", "misses", "key_misses", "trust", "waits_s"), [
    (0, 0, 0, Trust.UNKNOWN, 0),
    (0, 1, 0, Trust.UNKNOWN, 0),
    (0, 2, 0, Trust.MISSING, 2),
    (0, 3, 0, Trust.MISSING, 4),
    (0, 7, 0, Trust.MISSING, 64),
    (0, 5000, 0, Trust.MISSING, 64),
    (0, 0, 3, Trust.UNKNOWN, 0),
    (0, 0, 4, Trust.DOUBTFUL, 0),
    (1, 0, 0, Trust.PROVEN, 0),
    (1, 1, 9, Trust.PROVEN, 0),
    (1, 2, 0, Trust.DOUBTFUL, 0),
])  # fmt: skip
def test_trust(proofs: int, misses: int, key_misses: int, trust: Trust, waits_s: int) -> None:
    known = Reputation()
    for _ in range(proofs):
        known.proved(SITE, 0)
    for _ in range(misses):
        known.missed(SITE, 0)
    for _ in range(key_misses):
        known.missed(OTHER, 0)
    assert (known.trust(SITE, S), known.waits_until(SITE, S)) == (trust, waits_s * S)


def test_what_passes() -> None:
    known = Reputation()
    for _ in range(4):
        known.missed(SITE, 0)
    assert known.trust(SITE, 599 * S) is Trust.MISSING
    assert known.trust(OTHER, 59 * S) is Trust.DOUBTFUL
    assert known.trust(OTHER, 61 * S) is Trust.UNKNOWN
    assert known.trust(SITE, 601 * S) is Trust.UNKNOWN
    known.proved(SITE, 602 * S)
    assert known.trust(SITE, 3600 * S) is Trust.PROVEN
    assert known.trust(SITE, 100_000 * S) is Trust.UNKNOWN


def test_every_table_is_bounded() -> None:
    known = Reputation()
    for number in range(20_000):
        known.missed(Holder(number % 256, str(number)), number)
        known.proved(Holder(number % 256, f"proved {number}"), number)
    assert len(known._misses) == reputation.MOST_MISSING
    assert len(known._proofs) == reputation.MOST_PROVEN
    assert len(known._of_key) == 256


@pytest.mark.parametrize(("one", "other", "same"), [
    ("192.0.2.1", "192.0.2.2", False),
    ("2001:db8::1", "2001:db8::ffff:2", True),
    ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
    ("fe80::1%eth0", "fe80::1%eth1", True),
])  # fmt: skip
def test_a_site_has_one_ipv4_address_or_one_ipv6_network(one: str, other: str, same: bool) -> None:
    assert (Holder.of(1, one) == Holder.of(1, other)) is same
    assert Holder.of(1, one) != Holder.of(2, one)
