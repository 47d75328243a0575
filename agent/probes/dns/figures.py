"""Figures of a DNS run for a person."""

from collections.abc import Iterator

from host.units import counted, duration
from wire.records import AddressRecord, DnsValues


def figures(values: DnsValues) -> str:
    """One line of text: slowest answers, and how many names failed."""
    found = values.by_name().values()
    failed = sum(answer.failure is not None for answer in found)
    parts = [counted(len(found), "name"), *_slowest(values)]
    return ", ".join([*parts, f"{failed} failed"] if failed else parts)


def _slowest(values: DnsValues) -> Iterator[str]:
    for record in AddressRecord:
        asked = [one.answer_us for one in values.answers if one.record is record]
        times = [answer_us for answer_us in asked if answer_us is not None]
        if times:
            most = "" if len(times) == 1 else "at most "
            yield f"{record} in {most}{duration(max(times))}"
