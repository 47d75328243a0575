"""Judgement of replies: failures of questions, names and runs."""

import ipaddress

import pytest

from agent.probes.dns.rules import AskedQuestion, IpNetwork, ResolverReply, answers, detail, outcome
from wire.records import AddressRecord, DnsAnswer, DnsResolver, DnsValues, Failure, Outcome

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
EXPECTED: tuple[IpNetwork, ...] = (
    ipaddress.ip_network("192.0.2.0/24"),
    ipaddress.ip_network("2001:db8::/32"),
)
RIGHT, RIGHT6, ELSEWHERE = ("192.0.2.10",), ("2001:db8::10",), ("198.51.100.66",)
NO_ADDRESS: tuple[str, ...] = ()

Heard = tuple[int, tuple[str, ...]] | None


def asked(record: AddressRecord, heard: Heard) -> AskedQuestion:
    reply = None if heard is None else ResolverReply("10.0.0.1", 1500, *heard)
    return AskedQuestion(record, reply)


def judged(a: Heard, aaaa: Heard, expected: tuple[IpNetwork, ...] = EXPECTED) -> tuple[DnsAnswer, ...]:
    questions = [asked(AddressRecord.A, a), asked(AddressRecord.AAAA, aaaa)]
    return tuple(answers("portal.example.fr", questions, expected))


def values(*found: DnsAnswer, answered: int = 1) -> DnsValues:
    resolvers = (DnsResolver(address="10.0.0.1", asked=2, answered=answered),)
    return DnsValues(answers=found, resolvers=resolvers, timeout_us=2_000_000)


@pytest.mark.parametrize(
    ("a", "aaaa", "failures"),
    [
        ((NOERROR, RIGHT), (NOERROR, RIGHT6), (None, None)),
        ((NOERROR, RIGHT), (NOERROR, NO_ADDRESS), (None, None)),
        ((NOERROR, NO_ADDRESS), (NOERROR, RIGHT6), (None, None)),
        ((NOERROR, RIGHT), (NXDOMAIN, NO_ADDRESS), (None, None)),  # a balancer that knows IPv4 alone
        ((NOERROR, NO_ADDRESS), (NOERROR, NO_ADDRESS), (Failure.NAME_UNKNOWN, Failure.NAME_UNKNOWN)),
        ((NXDOMAIN, NO_ADDRESS), (NXDOMAIN, NO_ADDRESS), (Failure.NAME_UNKNOWN, Failure.NAME_UNKNOWN)),
        ((NXDOMAIN, NO_ADDRESS), None, (Failure.NAME_UNKNOWN, Failure.NO_ANSWER)),
        ((NOERROR, NO_ADDRESS), None, (None, Failure.NO_ANSWER)),
        ((NOERROR, RIGHT), None, (None, Failure.NO_ANSWER)),
        (None, None, (Failure.NO_ANSWER, Failure.NO_ANSWER)),
        ((NOERROR, ELSEWHERE), (NOERROR, NO_ADDRESS), (Failure.WRONG_ANSWER, None)),
        ((NOERROR, RIGHT + ELSEWHERE), (NOERROR, RIGHT6), (Failure.WRONG_ANSWER, None)),
        ((SERVFAIL, NO_ADDRESS), (FORMERR, NO_ADDRESS), (Failure.SERVFAIL, Failure.SERVFAIL)),
        ((NOTIMP, NO_ADDRESS), (REFUSED, NO_ADDRESS), (Failure.SERVFAIL, Failure.REFUSED)),
        ((NOERROR, NO_ADDRESS), (SERVFAIL, NO_ADDRESS), (None, Failure.SERVFAIL)),
    ],
)
def test_each_question_fails_by_its_reply(
    a: Heard, aaaa: Heard, failures: tuple[Failure | None, Failure | None]
) -> None:
    found = judged(a, aaaa)
    assert tuple(answer.failure for answer in found) == failures
    assert [answer.rcode for answer in found] == [heard and heard[0] for heard in (a, aaaa)]


def test_a_record_has_who_answered_what_and_how_fast() -> None:
    (wrong, right) = judged((NOERROR, RIGHT + ELSEWHERE), (NOERROR, RIGHT6))
    assert wrong == DnsAnswer(
        name="portal.example.fr",
        record=AddressRecord.A,
        answer_us=1500,
        rcode=0,
        resolver="10.0.0.1",
        addresses=2,
        wrong="198.51.100.66",
        failure=Failure.WRONG_ANSWER,
    )
    assert (right.addresses, right.wrong) == (1, None)


def test_a_name_of_which_nothing_is_expected_is_right_wherever_it_points() -> None:
    assert [answer.failure for answer in judged((NOERROR, ELSEWHERE), None, ())] == [None, Failure.NO_ANSWER]


def test_an_address_that_is_dead_while_another_answers_is_in_the_record() -> None:
    replies = [ResolverReply("10.0.0.1", 1, 0, (address,)) for address in ("192.0.2.1", "2001:db8::1")]
    questions = [AskedQuestion(record, reply) for record, reply in zip(AddressRecord, replies, strict=True)]
    found = tuple(answers("peer.fr", questions, (), ("2001:db8::1",)))
    assert [one.silent for one in found] == [None, "2001:db8::1"]
    assert [one.failure for one in found] == [None, None]
    text = detail(DnsValues(answers=found, resolvers=(), timeout_us=1))
    assert text == "peer.fr: 2001:db8::1 does not answer, another address does"


def test_what_was_never_sent_is_no_silence() -> None:
    (answer,) = answers("a.fr", [AskedQuestion(AddressRecord.A, sent=False)], ())
    assert answer.failure is Failure.UNREACHABLE


@pytest.mark.parametrize(("found", "expected"), [
    (judged((NOERROR, RIGHT), None), (Outcome.OK, None)),
    (judged((NOERROR, RIGHT), (NOERROR, ELSEWHERE)), (Outcome.FAILED, Failure.WRONG_ANSWER)),
    (judged((NOERROR, NO_ADDRESS), (SERVFAIL, NO_ADDRESS)), (Outcome.FAILED, Failure.SERVFAIL)),
    (judged(None, None), (Outcome.FAILED, Failure.NO_ANSWER)),
])  # fmt: skip
def test_a_run_is_ok_if_a_name_is_right(
    found: tuple[DnsAnswer, ...], expected: tuple[Outcome, Failure | None]
) -> None:
    assert outcome(values(*found)) == expected


def of_names(*failures: Failure | None) -> DnsValues:
    found = [
        DnsAnswer(
            name=f"{place}.fr",
            record=AddressRecord.A,
            addresses=int(failure is None),
            resolver="10.0.0.1",
            failure=failure,
        )
        for place, failure in enumerate(failures)
    ]
    return values(*found)


def test_a_run_without_a_right_name_fails_as_most_of_them_do() -> None:
    servfail, refused = Failure.SERVFAIL, Failure.REFUSED
    assert outcome(of_names(refused, servfail, servfail)) == (Outcome.FAILED, servfail)
    assert outcome(of_names(refused, servfail, None)) == (Outcome.OK, None)


@pytest.mark.parametrize(("found", "told"), [
    (values(*judged((NOERROR, RIGHT), None)), ""),
    (values(*judged((NOERROR, ELSEWHERE), None)),
     "portal.example.fr: 198.51.100.66 from 10.0.0.1 is not within dns.names.expect"),
    (values(*judged(None, None), answered=0), "resolver 10.0.0.1 answers nothing within 2 s"),
    (values(*judged(None, None)), "portal.example.fr: no-answer"),
    (of_names(None, Failure.REFUSED), "1.fr: refused (10.0.0.1)"),
    (of_names(*[Failure.NAME_UNKNOWN] * 5),
     "".join(f"{number}.fr: name-unknown (10.0.0.1); " for number in range(3)) + "2 more"),
])  # fmt: skip
def test_a_detail_names_what_is_at_fault(found: DnsValues, told: str) -> None:
    assert detail(found) == told


def test_a_detail_says_whose_name_failed() -> None:
    found = of_names(Failure.NAME_UNKNOWN, Failure.REFUSED)
    told = "0.fr (peer.host): name-unknown (10.0.0.1); 1.fr (dns.names): refused (10.0.0.1)"
    assert detail(found, {"0.fr": "peer.host", "1.fr": "dns.names"}) == told
