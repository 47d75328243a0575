"""Results as text and Markdown."""

from pathlib import Path

import pytest

from lab.bench.accuracy import documents, report
from lab.bench.accuracy.report import MeasuredPart, Report
from lab.bench.accuracy.result import BenchEffort, ResultRow, ResultTable, SampleSummary
from tests.lab.bench.accuracy import parts

QUESTION = "How fast is the line?"


def measured(name: str = "capacity", date: str = "2026-11-23") -> MeasuredPart:
    result = parts.measure(BenchEffort(), lambda _: None)
    return MeasuredPart(name, QUESTION, date, "a machine with 2 cores", BenchEffort(), 61.4, result)


def test_a_summary_is_a_median_with_nearest_rank_percentiles() -> None:
    assert SampleSummary.of([]) is None
    assert SampleSummary.of([3.0]) == SampleSummary(1, 3.0, 3.0, 3.0)
    assert SampleSummary.of(float(value) for value in range(100, 0, -1)) == SampleSummary(
        100, 50.5, 10.0, 90.0
    )


def test_columns_that_no_row_fills_are_left_out() -> None:
    rows = (
        ResultRow("a", 1.0, SampleSummary(3, 1.02, 1.0, 1.26), {"ping": 1}),
        ResultRow("b", "none", None, {"irtt": 1234.5}, more={"MB": 2}),
    )
    headings, texts = report.cells(ResultTable("t", rows, truth="log"))
    assert headings == ["case", "log", "Plancher", "ping", "irtt", "MB"]
    assert texts == [
        ["a", "1.0", "1.0 (1.0 to 1.3, n=3)", "1", "-", "-"],
        ["b", "none", "-", "-", "1,234.5", "2"],
    ]


def test_a_report_is_saved_and_renewed_part_by_part(tmp_path: Path) -> None:
    path = tmp_path / "var" / "accuracy.json"
    assert report.load(path) == Report()
    old = Report((measured("rtt", "2026-11-01"), measured("gone")))
    newer = [measured("rtt"), measured("loss")]
    renewed = old.renewed(newer, ["loss", "rtt"])
    assert [(one.name, one.date) for one in renewed.parts] == [("loss", "2026-11-23"), ("rtt", "2026-11-23")]
    report.save(renewed, path)
    assert report.load(path) == renewed


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


def test_a_document_without_markers_is_reported_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(f"{documents.BEGIN}{documents.END}")
    (tmp_path / "docs" / "methods.md").write_text("no place here")
    with pytest.raises(documents.MarkerError, match=r"^methods\.md lacks the lines <!-- accuracy: begin -->"):
        documents.write(Report((measured(),)), tmp_path)
    assert (tmp_path / "README.md").read_text() == f"{documents.BEGIN}{documents.END}"
