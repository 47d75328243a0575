"""Judgement of replies: from what resolvers said to the values and the outcome of a run. Pure.

One question is a name in one record type. Its failure is decided by the reply that counts, the last one
that came:

=====================================  ============================================================
reply                                  failure
=====================================  ============================================================
none came                              ``no-answer``, or ``network-unreachable`` if none could be sent
REFUSED                                ``refused``
other than NOERROR and NXDOMAIN        ``servfail``; the record has the response code
an address outside the expected ones   ``wrong-answer``
NXDOMAIN                               ``name-unknown``, unless the other record type has addresses
no address                             the same, unless the other record type is not answered either way
addresses                              none
=====================================  ============================================================

A name with IPv4 addresses alone, or with IPv6 alone, is an ordinary name. A run fails if no name is right.
"""

import ipaddress
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping

from msgspec import Struct

from wire.records import AddressRecord, DnsAnswer, DnsValues, Failure, Outcome

NOERROR, NXDOMAIN, REFUSED = 0, 3, 5
# Response codes after which no other resolver is asked. The C library goes on after all others, too.
FINAL = (NOERROR, NXDOMAIN)

MOST_NAMED = 3  # names in a detail, which has 300 characters

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class ResolverReply(Struct, frozen=True):
    """One reply of a resolver, as far as it is judged. ``answer_us`` is the time since the question."""

    resolver: str
    answer_us: int
    rcode: int
    addresses: tuple[str, ...] = ()
    over_tcp: bool = False


class AskedQuestion(Struct, frozen=True):
    """One question: the reply that counts, if any came, and whether it was sent to anybody."""

    record: AddressRecord
    reply: ResolverReply | None = None
    sent: bool = True


def answers(
    name: str, questions: Iterable[AskedQuestion], expected: tuple[IpNetwork, ...], dead: Container[str] = ()
) -> Iterator[DnsAnswer]:
    """Records of one name: one for each of its questions.

    At the addresses in ``dead`` nothing answers, while something does at another of the same host.
    """
    asked = list(questions)
    exists = any(question.reply and question.reply.addresses for question in asked)
    open_question = any(question.reply is None or question.reply.rcode not in FINAL for question in asked)
    for question in asked:
        reply = question.reply
        if reply is None:
            failure = Failure.NO_ANSWER if question.sent else Failure.UNREACHABLE
            yield DnsAnswer(name=name, record=question.record, failure=failure)
            continue
        wrong = next((each for each in reply.addresses if not _is_expected(each, expected)), None)
        unknown = not exists and (reply.rcode == NXDOMAIN or not open_question)
        yield DnsAnswer(
            name=name,
            record=question.record,
            answer_us=reply.answer_us,
            rcode=reply.rcode,
            resolver=reply.resolver,
            addresses=len(reply.addresses),
            wrong=wrong,
            silent=next((each for each in reply.addresses if each in dead), None),
            over_tcp=reply.over_tcp,
            failure=_failure(reply.rcode, wrong, unknown=unknown),
        )


def _failure(rcode: int, wrong: str | None, *, unknown: bool) -> Failure | None:
    if rcode == REFUSED:
        return Failure.REFUSED
    if rcode not in FINAL:
        return Failure.SERVFAIL
    if wrong is not None:
        return Failure.WRONG_ANSWER
    return Failure.NAME_UNKNOWN if unknown else None


def _is_expected(address: str, expected: tuple[IpNetwork, ...]) -> bool:
    found = ipaddress.ip_address(address)
    return not expected or any(found in network for network in expected)


def outcome(values: DnsValues) -> tuple[Outcome, Failure | None]:
    """Outcome of a run: failed if no name is right, with the failure that most of them have."""
    failures = [answer.failure for answer in values.by_name().values()]
    if None in failures:
        return Outcome.OK, None
    return Outcome.FAILED, Counter(failures).most_common(1)[0][0]


def detail(values: DnsValues, settings: Mapping[str, str] = {}) -> str:
    """Resolvers that do not answer and names that failed, for a person; empty where all is well.

    ``settings`` are the settings that ask for each name.
    """
    dead = [one for one in values.resolvers if one.asked and not one.answered]
    parts = [f"resolver {one.address} answers nothing within {values.timeout_us / 1e6:g} s" for one in dead]
    if parts and len(dead) == len(values.resolvers):
        return "; ".join(parts)  # that each name has no answer says nothing more
    failed = [answer for answer in values.by_name().values() if answer.failure is not None]
    parts += [_words(answer, settings.get(answer.name)) for answer in failed[:MOST_NAMED]]
    if len(failed) > MOST_NAMED:
        parts.append(f"{len(failed) - MOST_NAMED} more")
    silent = [answer for answer in values.answers if answer.silent is not None]
    parts += [
        f"{one.name}: {one.silent} does not answer, another address does" for one in silent[:MOST_NAMED]
    ]
    return "; ".join(parts)


def _words(answer: DnsAnswer, setting: str | None) -> str:
    if answer.wrong is not None:
        return f"{answer.name}: {answer.wrong} from {answer.resolver} is not within dns.names.expect"
    whose = f" ({setting})" if setting else ""
    by = f" ({answer.resolver})" if answer.resolver else ""
    return f"{answer.name}{whose}: {answer.failure}{by}"
