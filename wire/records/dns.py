"""Records of the DNS probe: names asked of the site's resolvers, and the answers."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from wire.records.attempt import Measurement, Values
from wire.records.vocabulary import Count, Failure, Micros

# Both end up in labels and on pages: neither has a quote, a bracket or a backslash.
HostName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.-]{1,253}\Z")]
Address = Annotated[str, Meta(pattern=r"\A[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9_.-]{1,15})?\Z")]
Rcode = Annotated[int, Meta(ge=0, le=4095)]


class AddressRecord(StrEnum):
    """Record type of a question: IPv4 (RFC 1035) or IPv6 addresses (RFC 3596)."""

    A = "A"
    AAAA = "AAAA"


class DnsAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One name in one record type.

    ``answer_us`` is from the question to ``resolver`` until its reply, over TCP where the one over UDP was
    truncated (``over_tcp``). All three are absent where no resolver replied. ``rcode`` is the reply's
    response code, ``addresses`` the number of its addresses. ``wrong`` is the first address outside the
    expected ranges. ``silent`` is the first at which peer or broker does not answer while it does at another.
    """

    name: HostName
    record: AddressRecord
    answer_us: Micros | None = None
    rcode: Rcode | None = None
    resolver: Address | None = None
    addresses: Count = 0
    wrong: Address | None = None
    silent: Address | None = None
    over_tcp: bool = False
    failure: Failure | None = None


class DnsResolver(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One resolver: how many questions it was asked, and to how many of them it replied in time."""

    address: Address
    asked: Count
    answered: Count


class DnsValues(Values, frozen=True, kw_only=True, omit_defaults=True):
    """All names of one run, A and AAAA apart, and the resolvers in the order in which they were asked.

    The next resolver is asked what the one before did not answer within ``timeout_us``, or refused, or
    failed to find out.
    """

    answers: Annotated[tuple[DnsAnswer, ...], Meta(max_length=64)]
    resolvers: Annotated[tuple[DnsResolver, ...], Meta(max_length=8)]
    timeout_us: Micros

    def by_name(self) -> dict[str, DnsAnswer]:
        """The answer that speaks for each name.

        It is the wrong one, else the first with addresses, else the first that failed.
        """
        found: dict[str, list[DnsAnswer]] = {}
        for answer in self.answers:
            found.setdefault(answer.name, []).append(answer)
        return {name: min(answers, key=_weight) for name, answers in found.items()}


def _weight(answer: DnsAnswer) -> int:
    """Rank of an answer among those of its name: one family suffices, but none may be wrong."""
    if answer.failure is Failure.WRONG_ANSWER:
        return 0
    if answer.failure is None:
        return 1 if answer.addresses else 3
    return 2


class DnsMeasurement(Measurement, frozen=True, kw_only=True, tag="dns"):
    """Names that the site lives by, resolved as its programs resolve them."""

    values: DnsValues | None = None
