"""Samples and notices of the DNS kind, whatever the outcome of the run."""

import msgspec
import pytest

from collector.kinds import DNS, PROVES_LINE
from collector.kinds.dns import SLOW_US
from collector.live.fleet import Fleet
from collector.live.site_state import SiteState, state_of
from collector.metrics.families import FAMILIES
from collector.model.inventory import Site
from collector.model.notice import Notice
from tests.collector.examples import NOW_US, SITE, dns, dns_values, floor, seen
from wire.records import AddressRecord, DnsAnswer, DnsResolver, DnsValues, Failure, Outcome

LABELS = {family.name: family for family in FAMILIES}


def samples(name: str, values: DnsValues, outcome: Outcome = Outcome.OK) -> dict[str, float]:
    made = Fleet({})
    made.learn([seen(dns(1, values=values, outcome=outcome))], NOW_US)
    site = made.get(SITE)
    assert site is not None
    return dict(LABELS[name].samples(site, NOW_US))


def answer(name: str, failure: Failure | None = None, **more: object) -> DnsAnswer:
    base = {"name": name, "record": AddressRecord.A, "addresses": 1, "answer_us": 9_000, "failure": failure}
    return DnsAnswer(**base | {"resolver": "10.0.0.1"} | more)


def values(*answers: DnsAnswer, asked: int = 4, answered: int = 4) -> DnsValues:
    resolvers = (DnsResolver(address="10.0.0.1", asked=asked, answered=answered),)
    return DnsValues(answers=answers, resolvers=resolvers, timeout_us=2_000_000)


def test_families_tell_times_failures_and_who_answers() -> None:
    found = dns_values()
    assert samples("qos_dns_answer_seconds", found) == {
        ',record="A",stat="p50"': 0.021,
        ',record="A",stat="max"': 0.03,
        ',record="AAAA",stat="p50"': 0.018,
        ',record="AAAA",stat="max"': 0.018,
    }
    assert samples("qos_dns_names", found) == {"": 2}
    assert samples("qos_dns_failed_names", found) == {',failure="wrong-answer"': 1}
    assert samples("qos_dns_resolver_answered_ratio", found) == {
        ',resolver="10.0.0.1"': 0.0,
        ',resolver="10.0.0.2"': 0.75,
    }


def test_a_run_that_failed_has_its_samples_too() -> None:
    dead = values(answer("a.fr", Failure.NO_ANSWER, answer_us=None, resolver=None), answered=0)
    assert samples("qos_dns_resolver_answered_ratio", dead, Outcome.FAILED) == {',resolver="10.0.0.1"': 0.0}
    assert samples("qos_dns_failed_names", dead, Outcome.FAILED) == {',failure="no-answer"': 1}
    assert samples("qos_dns_answer_seconds", dead, Outcome.FAILED) == {}


def test_a_resolver_that_was_not_asked_has_no_ratio() -> None:
    assert samples("qos_dns_resolver_answered_ratio", values(asked=0, answered=0)) == {}


def test_an_address_that_does_not_answer_while_another_does_has_a_sample_and_a_notice() -> None:
    found = values(
        answer("peer.fr"), answer("peer.fr", record=AddressRecord.AAAA, silent="2001:db8::1"), answered=4
    )
    assert samples("qos_dns_silent_addresses", found) == {',record="AAAA"': 1}
    assert samples("qos_dns_silent_addresses", values(answer("peer.fr"))) == {}
    notice = Notice("dns-silent", place="2001:db8::1", name="peer.fr")
    assert list(DNS.attempt_notices(seen(dns(1, values=found)))) == [notice]
    english, french = DNS.sentences["dns-silent"]
    assert "2001:db8::1" in english.format(name="peer.fr", by="2001:db8::1")
    assert "2001:db8::1" in french.format(name="peer.fr", by="2001:db8::1")


def silent(name: str) -> DnsAnswer:
    return answer(name, Failure.NO_ANSWER, answer_us=None, resolver=None)


@pytest.mark.parametrize(
    ("found", "notices"),
    [
        (values(answer("a.fr")), []),
        (values(silent("a.fr"), answered=0), [Notice("dns-dead", number=2000, name="10.0.0.1")]),
        (
            values(answer("a.fr", answer_us=SLOW_US), answer("b.fr", answer_us=SLOW_US)),
            [Notice("dns-slow", number=1000, name="10.0.0.1")],
        ),
        (values(silent("a.fr"), answer("b.fr")), [Notice("dns-no-answer", number=1, name="a.fr")]),
        (
            values(answer("a.fr", Failure.WRONG_ANSWER)),
            [Notice("dns-wrong-answer", number=1, place="10.0.0.1", name="a.fr")],
        ),
        (
            values(answer("a.fr", Failure.WRONG_ANSWER), answer("b.fr", Failure.WRONG_ANSWER)),
            [Notice("dns-wrong-answer-several", number=2, place="10.0.0.1", name="a.fr")],
        ),
        (values(answer("a.fr", Failure.INTERNAL)), []),  # of a strange agent: no sentence for it
    ],
)
def test_a_notice_names_the_resolver_or_the_name_at_fault(found: DnsValues, notices: list[Notice]) -> None:
    assert list(DNS.attempt_notices(seen(dns(1, values=found, outcome=Outcome.FAILED)))) == notices
    assert {notice.kind for notice in notices} <= set(DNS.sentences)


def test_dead_resolvers_make_no_site_silent_or_below_its_floor_and_prove_no_line() -> None:
    made = Fleet({SITE: Site(SITE, "Lycée")})
    failed = dns(2, values=values(silent("a.fr"), answered=0), outcome="failed", failure=Failure.NO_ANSWER)
    made.learn([seen(floor(1)), seen(failed, 2)], NOW_US)
    site = made.get(SITE)
    assert site is not None
    assert state_of(site, NOW_US + 1) is SiteState.OK
    assert "dns" not in PROVES_LINE


def test_a_name_is_judged_by_its_wrong_answer_then_by_its_right_one() -> None:
    a, aaaa = answer("a.fr"), answer("a.fr", Failure.NO_ANSWER, record=AddressRecord.AAAA, addresses=0)
    assert values(a, aaaa).by_name() == {"a.fr": a}
    wrong = msgspec.structs.replace(aaaa, failure=Failure.WRONG_ANSWER)
    assert values(a, wrong).by_name() == {"a.fr": wrong}
    empty = msgspec.structs.replace(a, addresses=0)
    assert values(empty, aaaa).by_name() == {"a.fr": aaaa}
