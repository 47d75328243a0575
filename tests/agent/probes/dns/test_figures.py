"""Figures of a run as a person reads them."""

import pytest

from agent.probes.dns.figures import figures
from wire.records import AddressRecord, DnsAnswer, DnsValues, Failure


def answer(
    name: str, record: AddressRecord, answer_us: int | None, failure: Failure | None = None
) -> DnsAnswer:
    return DnsAnswer(name=name, record=record, answer_us=answer_us, addresses=1, failure=failure)


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([answer("a.fr", AddressRecord.A, 12_000)], "1 name, A in 12.00 ms"),
        (
            [
                answer("a.fr", AddressRecord.A, 12_000),
                answer("a.fr", AddressRecord.AAAA, 14_500),
                answer("b.fr", AddressRecord.A, 20_000),
                answer("b.fr", AddressRecord.AAAA, None, Failure.NO_ANSWER),
                answer("c.fr", AddressRecord.A, 1_000, Failure.WRONG_ANSWER),
            ],
            "3 names, A in at most 20.00 ms, AAAA in 14.50 ms, 1 failed",
        ),
        ([answer("a.fr", AddressRecord.A, None, Failure.NO_ANSWER)], "1 name, 1 failed"),
    ],
)
def test_the_slowest_answer_and_the_failed_names_are_told(answers: list[DnsAnswer], told: str) -> None:
    assert figures(DnsValues(answers=tuple(answers), resolvers=(), timeout_us=1)) == told
