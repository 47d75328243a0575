"""One measurement as a person reads it: what was measured, the verdict, the figures, and what to do."""

from enum import StrEnum

from msgspec import Struct

from agent.probes import PROBES, WITHOUT_PROBE
from agent.report import remedies
from wire.records import (
    BY_NAME,
    Failure,
    FloorMeasurement,
    Outcome,
    ReachabilityMeasurement,
    ReachabilityValues,
    Record,
    UnknownMeasurement,
    Verdict,
    probe_of,
)


class Tone(StrEnum):
    """Tone of a measurement: good news, bad news, or none."""

    PASS = "pass"  # noqa: S105 -- a verdict, not a password
    MEASURED = "measured"  # there are figures, and no floor to hold them against
    FAIL = "fail"
    NEITHER = "undecided"

    @property
    def style(self) -> str:
        """Style in which rich prints it."""
        return {Tone.FAIL: "bold red", Tone.NEITHER: "yellow"}.get(self, "green")


_FIGURES = {probe.record: probe.figures for probe in PROBES.values()} | dict(WITHOUT_PROBE)

# Verdict of an outage that had not ended.
OPEN_OUTAGE = "outage"

# Epoch and seq of a measurement that is shown and not kept: identities are the journal's to give.
NO_IDENTITY = ("0" * 16, 1)


class ReportLine(Struct, frozen=True):
    """One line of a table. ``advice`` is whose fault it is and what to do, empty where nothing is wrong."""

    task: str
    tone: Tone
    verdict: str
    figures: str
    advice: str


def line(record: Record) -> ReportLine:
    """A measurement for people."""
    return ReportLine(
        task=_task(record),
        tone=_tone(record),
        verdict=_verdict(record),
        figures=_figures(record),
        advice=_advice(record),
    )


def open_outage(record: Record) -> ReachabilityValues | None:
    """Outage that had not ended when it was recorded; None for every other record."""
    if isinstance(record, ReachabilityMeasurement) and record.values and record.values.end is None:
        return record.values
    return None


def sentence(record: Record) -> str:
    """A measurement as one line of a log."""
    found = line(record)
    parts = (found.verdict, found.figures, found.advice)
    return f"{found.task}: " + "; ".join(part for part in parts if part)


def overall(lines: list[ReportLine]) -> Tone:
    """One verdict for several: a fail, else undecided, else a pass, else measured."""
    tones = {one.tone for one in lines}
    heaviest = (Tone.FAIL, Tone.NEITHER, Tone.PASS, Tone.MEASURED)
    return next((tone for tone in heaviest if tone in tones), Tone.NEITHER)


def _task(record: Record) -> str:
    dscp = "" if record.dscp is None else f"dscp {record.dscp}"
    return " ".join(part for part in (probe_of(record), record.direction or "", dscp) if part)


def _tone(record: Record) -> Tone:
    newer = isinstance(record, UnknownMeasurement) and record.probe in BY_NAME
    if record.outcome is not Outcome.OK or newer:
        return Tone.NEITHER
    if open_outage(record):
        return Tone.FAIL
    if not isinstance(record, FloorMeasurement):
        return Tone.MEASURED
    verdict = record.values.verdict if record.values else None
    return {Verdict.PASS: Tone.PASS, Verdict.FAIL: Tone.FAIL}.get(verdict or Verdict.GREY, Tone.NEITHER)


def _verdict(record: Record) -> str:
    if isinstance(record, FloorMeasurement) and record.values and record.outcome is Outcome.OK:
        return str(record.values.verdict)
    if open_outage(record):
        return OPEN_OUTAGE  # the asking went well, what it found did not
    return str(record.outcome)


def _figures(record: Record) -> str:
    if isinstance(record, UnknownMeasurement) or record.values is None:
        return ""
    if isinstance(record, FloorMeasurement) and record.outcome is not Outcome.OK:
        return ""  # figures of tests that had to be thrown away would be read as the line's
    return _FIGURES[type(record)](record.values)


def _advice(record: Record) -> str:
    """The probe's own words where it found some, and whose fault the failure is."""
    if outage := open_outage(record):
        remedy = remedies.outage_advice(outage)
        return f"{record.detail} ({remedy})" if record.detail else remedy
    if record.failure is None:
        return record.detail
    if isinstance(record.failure, Failure):
        declared = PROBES.get(probe_of(record))
        return remedies.advice(record.failure, record.detail, declared.remedies if declared else None)
    return f"{record.detail} ({record.failure})" if record.detail else record.failure
