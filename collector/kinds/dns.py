"""Names that the site's resolvers looked up. No proof of a line: a router's own resolver needs none."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from statistics import median

from collector.kinds.kind import AttemptGauge, Both, MeasurementKind, Samples
from collector.model.notice import Notice
from collector.model.observation import Observation
from wire.records import AddressRecord, DnsAnswer, DnsMeasurement, DnsValues, Failure

# A resolver whose median answer takes as long is slow: people notice it at every page that they open.
SLOW_US = 1_000_000

# Failures of a name, for a person. ``{by}`` is the resolver.
_FAILED: dict[Failure, Both] = {
    Failure.NO_ANSWER: ("no answer", "pas de réponse"),
    Failure.UNREACHABLE: ("no resolver reachable", "aucun résolveur accessible"),
    Failure.SERVFAIL: ("failure at {by}", "échec chez {by}"),
    Failure.REFUSED: ("refused by {by}", "refusé par {by}"),
    Failure.NAME_UNKNOWN: ("unknown to {by}", "inconnu de {by}"),
    Failure.WRONG_ANSWER: ("wrong answer from {by}", "mauvaise réponse de {by}"),
}


def _answer_seconds(seen: Observation) -> Samples:
    for record in AddressRecord:
        asked = [one.answer_us for one in _answers(seen) if one.record is record]
        times = [answer_us for answer_us in asked if answer_us is not None]
        if times:
            yield f',record="{record}",stat="p50"', median(times) / 1e6
            yield f',record="{record}",stat="max"', max(times) / 1e6


def _failed_names(seen: Observation) -> Samples:
    found = _by_name(seen)
    failures = Counter(answer.failure for answer in found if answer.failure is not None)
    return ((f',failure="{failure}"', count) for failure, count in sorted(failures.items()))


def _names(seen: Observation) -> Samples:
    if found := _by_name(seen):
        yield "", len(found)


def _answered(seen: Observation) -> Samples:
    if isinstance(seen.values, DnsValues):
        for resolver in seen.values.resolvers:
            if resolver.asked:
                yield f',resolver="{resolver.address}"', resolver.answered / resolver.asked


def _silent(seen: Observation) -> Samples:
    found = Counter(answer.record for answer in _answers(seen) if answer.silent is not None)
    return ((f',record="{record}"', count) for record, count in sorted(found.items()))


def _answers(seen: Observation) -> tuple[DnsAnswer, ...]:
    return seen.values.answers if isinstance(seen.values, DnsValues) else ()


def _by_name(seen: Observation) -> list[DnsAnswer]:
    return list(seen.values.by_name().values()) if isinstance(seen.values, DnsValues) else []


def _notices(seen: Observation) -> Iterator[Notice]:
    if isinstance(seen.values, DnsValues):
        yield from _of_resolvers(seen.values)
        yield from _of_names(seen.values)
        for answer in seen.values.answers:
            if answer.silent is not None:
                yield Notice("dns-silent", place=answer.silent, name=answer.name)


def _of_resolvers(values: DnsValues) -> Iterator[Notice]:
    times: dict[str, list[int]] = defaultdict(list)
    for answer in values.answers:
        if answer.resolver is not None and answer.answer_us is not None:
            times[answer.resolver].append(answer.answer_us)
    for resolver in values.resolvers:
        typical_us = median(times[resolver.address]) if times[resolver.address] else 0
        if resolver.asked and not resolver.answered:
            yield Notice("dns-dead", number=values.timeout_us // 1000, name=resolver.address)
        elif typical_us >= SLOW_US:
            yield Notice("dns-slow", number=round(typical_us / 1000), name=resolver.address)


def _of_names(values: DnsValues) -> Iterator[Notice]:
    """One notice for all names that failed alike: a portal answers wrongly for every name."""
    alike: dict[tuple[Failure, str], list[str]] = defaultdict(list)
    for name, answer in values.by_name().items():
        if answer.failure in _FAILED:
            alike[answer.failure, answer.resolver or ""].append(name)
    if not any(one.answered for one in values.resolvers):
        alike.pop((Failure.NO_ANSWER, ""), None)  # the notice about the resolver says it
    for (failure, resolver), names in alike.items():
        several = "" if len(names) == 1 else "-several"
        yield Notice(f"dns-{failure}{several}", number=len(names), place=resolver, name=names[0])


def _sentences(words: Iterable[tuple[Failure, Both]]) -> Iterator[tuple[str, Both]]:
    for failure, (english, french) in words:
        one = (f"DNS: {{name}}: {english}", f"DNS : {{name}} : {french}")
        several = (f"DNS: {{number}} names: {english}", f"DNS : {{number}} noms : {french}")
        yield from ((f"dns-{failure}", one), (f"dns-{failure}-several", several))


DNS = MeasurementKind(
    record=DnsMeasurement,
    values=DnsValues,
    attempt=("last resolution of names:", "dernière résolution de noms :"),
    gauges=(
        AttemptGauge(
            "qos_dns_answer_seconds",
            "How long the site's resolvers took to answer, over all names of the last run.",
            _answer_seconds,
        ),
        AttemptGauge("qos_dns_names", "Names that the last run resolved.", _names),
        AttemptGauge("qos_dns_failed_names", "Names that it did not get a right answer for.", _failed_names),
        AttemptGauge(
            "qos_dns_resolver_answered_ratio",
            "Share of the questions to a resolver that it answered in time; absent if it was not asked.",
            _answered,
        ),
        AttemptGauge(
            "qos_dns_silent_addresses",
            "Names of peer and broker with an address that does not answer while another one does.",
            _silent,
        ),
    ),
    attempt_notices=_notices,
    sentences={
        "dns-dead": (
            "DNS: resolver {name} answers nothing within {number} ms",
            "DNS : le résolveur {name} ne répond à rien en {number} ms",
        ),
        "dns-slow": (
            "DNS: resolver {name} takes {number} ms to answer",
            "DNS : le résolveur {name} met {number} ms à répondre",
        ),
        "dns-silent": (
            "{name}: {by} does not answer, another of its addresses does",
            "{name} : {by} ne répond pas, une autre de ses adresses répond",
        ),
        **dict(_sentences(_FAILED.items())),
    },
)
