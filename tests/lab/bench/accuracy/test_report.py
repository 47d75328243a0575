"""Results as text and Markdown, kept and renewed."""

from pathlib import Path

import pytest

from lab.bench.accuracy import documents, report
from lab.bench.accuracy.report import Measured, Report
from lab.bench.accuracy.result import Bar, Effort, Figure, Result, Row, Table
from tests.lab.bench.accuracy import parts

QUESTION = "How fast is the line?"


def measured(name: str = "capacity", date: str = "2026-11-23") -> Measured:
    result = parts.measure(Effort(), lambda _: None)
    return Measured(name, QUESTION, date, "a machine with 2 cores", Effort(), 61.4, result)


def test_a_figure_is_a_median_with_nearest_rank_percentiles() -> None:
    assert Figure.of([]) is None
    assert Figure.of([3.0]) == Figure(1, 3.0, 3.0, 3.0)
    assert Figure.of(float(value) for value in range(100, 0, -1)) == Figure(100, 50.5, 10.0, 90.0)


def test_effort_is_what_was_told_before_what_the_part_likes() -> None:
    assert [Effort().times(20, 50), Effort(full=True).times(20, 50)] == [20, 50]
    assert Effort(full=True, runs=3).times(20, 50) == 3


def test_columns_that_no_row_fills_are_left_out() -> None:
    rows = (
        Row("a", 1.0, Figure(3, 1.02, 1.0, 1.26), {"ping": 1}),
        Row("b", "none", None, {"irtt": 1234.5}, more={"MB": 2}),
    )
    headings, texts = report.cells(Table("t", rows, truth="log"))
    assert headings == ["case", "log", "Plancher", "ping", "irtt", "MB"]
    assert texts == [
        ["a", "1.0", "1.0 (1.0 to 1.3, n=3)", "1", "-", "-"],
        ["b", "none", "-", "-", "1,234.5", "2"],
    ]


def test_a_report_is_kept_and_renewed_part_by_part(tmp_path: Path) -> None:
    path = tmp_path / "var" / "accuracy.json"
    assert report.load(path) == Report()
    old = Report((measured("rtt", "2026-11-01"), measured("gone")))
    newer = [measured("rtt"), measured("loss")]
    renewed = old.renewed(newer, ["loss", "rtt"])
    assert [(one.name, one.date) for one in renewed.parts] == [("loss", "2026-11-23"), ("rtt", "2026-11-23")]
    report.save(renewed, path)
    assert report.load(path) == renewed


def test_missed_bars_are_named_with_their_part() -> None:
    result = Result(bars=(Bar("fine", met=True), Bar("p50 60 us, at most 50", met=False)))
    one = Measured("rtt", "?", "", "", Effort(), 1.0, result)
    assert report.missed([one]) == ["rtt: p50 60 us, at most 50"]


def test_both_documents_get_their_tables_between_the_markers(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    files = (tmp_path / "README.md", tmp_path / "docs" / "methods.md")
    for path in files:
        path.write_text(f"before\n{documents.BEGIN}\nold\n{documents.END}\nafter\n")
    documents.write(Report((measured(),)), tmp_path)
    again = documents.write(Report((measured(),)), tmp_path)
    assert again == files
    short, whole = (path.read_text() for path in files)
    assert short == (
        f"before\n{documents.BEGIN}\n"
        "| what | truth | Plancher | other tools, same links |\n| --- | --- | --- | --- |\n"
        "| capacity of 8.4 Mbit/s | 8.4 | 8.40 | iperf3 7.9 |\n\n"
        f"Measured by `make bench-accuracy`, 2026-11-23; {report.WHERE}.\n"
        f"{documents.END}\nafter\n"
    )
    assert "| 8.4 Mbit/s | 8.40 | 8.40 (8.30 to 8.60, n=3) | 7.90 | 0.50 | 2 |" in whole
    assert "- met: within 1 %" in whole
    assert whole.startswith("before\n")
    assert whole.endswith("\nafter\n")


def test_a_document_without_markers_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(f"{documents.BEGIN}{documents.END}")
    (tmp_path / "docs" / "methods.md").write_text("no place here")
    with pytest.raises(documents.MarkerError, match=r"^methods\.md lacks the lines <!-- accuracy: begin -->"):
        documents.write(Report((measured(),)), tmp_path)
    assert (tmp_path / "README.md").read_text() == f"{documents.BEGIN}{documents.END}"


def test_the_kind_of_machine_is_told_without_its_name() -> None:
    told = report.kind_of_machine(0.1)
    assert "cores" in told
    assert "Linux" in told
    assert report.kind_of_machine(1.26) == f"{told}, other jobs beside (load 1.3)"
