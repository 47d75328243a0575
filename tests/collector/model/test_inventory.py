import logging
from pathlib import Path

import pytest

from collector.model.inventory import COLUMNS, InventoryError, Site, parse
from collector.service.inventory_file import InventoryFile

HEAD = ",".join(COLUMNS)
GOOD = "0631234A,Lycée,lycée,63,Clermont-Ferrand,pop-1,Opérateur A,45.77,3.08,8 Mbit/s,2500000"
EXAMPLE = Path(__file__).parents[3] / "sites.csv"


def problems(text: str) -> list[str]:
    with pytest.raises(InventoryError) as raised:
        parse(text, "sites.csv")
    return raised.value.problems


def test_a_line_is_read_whole() -> None:
    assert parse(f"{HEAD}\n{GOOD}\n", "sites.csv") == {
        "0631234A": Site(
            site_id="0631234A",
            name="Lycée",
            category="lycée",
            departement="63",
            commune="Clermont-Ferrand",
            pop="pop-1",
            supplier="Opérateur A",
            lat=45.77,
            lon=3.08,
            floor_down=8_000_000,
            floor_up=2_500_000,
        )
    }


def test_what_is_left_out_has_a_default() -> None:
    assert parse("site_id,name\nA,Somewhere\n\n", "x") == {"A": Site("A", "Somewhere")}


def test_a_french_spreadsheet_is_read_too() -> None:
    assert parse('site_id;name;lat\nA;"Some; where";45.5\n', "x")["A"] == Site("A", "Some; where", lat=45.5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [f"sites.csv: empty: the first line names the columns: {HEAD}"]),
        ("site_id\nA\n", ["sites.csv, line 1: column 'name' is missing"]),
        ("site_id,name,name\n", ["sites.csv, line 1: column 'name' exists twice"]),
        (
            "site_id,name,suplier\n",
            ["sites.csv, line 1: no such column: 'suplier'; did you mean 'supplier'?"],
        ),
        ("site_id,name\nA\n", ["sites.csv, line 2, 1 columns, but line 1 names 2"]),
        ("site_id,name\nA,\n", ["sites.csv, line 2, column name: empty"]),
        ("site_id,name\nA,x\nB,y\nA,z\n", ["sites.csv, line 4, column site_id: 'A' is already in line 2"]),
        (
            "site_id,name\nqos/#,x\n",
            [
                (
                    "sites.csv, line 2, column site_id: 'qos/#' cannot be a site id: letters, digits, "
                    "'-' and '_', at most 64, beginning with a letter or digit"
                )
            ],
        ),
        (
            "site_id,name,lat\nA,x,91\n",
            ["sites.csv, line 2, column lat: '91' is not a number of degrees from -90 to 90"],
        ),
        (
            'site_id,name,lon\nA,x,"3,08"\n',
            ["sites.csv, line 2, column lon: '3,08' is not a number of degrees from -180 to 180"],
        ),
        (
            "site_id,name,lat\nA,x,nan\n",
            ["sites.csv, line 2, column lat: 'nan' is not a number of degrees from -90 to 90"],
        ),
        (
            "site_id,name,lat,floor_down\nA,x,045.5,0800000\n",
            [
                "sites.csv, line 2, column lat: '045.5' is not a number of degrees from -90 to 90",
                "sites.csv, line 2, column floor_down: expected a quantity such as '8 Mbit/s', got '0800000'",
            ],
        ),
        (
            "site_id,name,floor_down\nA,x,8 Mb\n",
            [
                (
                    "sites.csv, line 2, column floor_down: unknown unit 'Mb': "
                    "write one of bit/s, kbit/s, Mbit/s, Gbit/s"
                )
            ],
        ),
        (
            "site_id,name,floor_up\nA,x,8\n",
            ["sites.csv, line 2, column floor_up: 8 alone is 8 bit/s: write it with its unit, as '8 Mbit/s'"],
        ),
        (
            "site_id,name,lat,floor_up\nA,x,100,fast\n",
            [
                "sites.csv, line 2, column lat: '100' is not a number of degrees from -90 to 90",
                "sites.csv, line 2, column floor_up: expected a quantity such as '8 Mbit/s', got 'fast'",
            ],
        ),
        ('site_id,name\nA,"x\n', ["sites.csv, line 2: not valid CSV: unexpected end of data"]),
        (f"site_id,name\nA,{'x' * 201}\n", ["sites.csv, line 2, column name: longer than 200 characters"]),
    ],
)
def test_mistakes_are_reported_with_line_and_column(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


def test_problems_are_bounded() -> None:
    found = problems("site_id,name\n" + "".join(f"S{i},\n" for i in range(30)))
    assert (len(found), found[-1]) == (21, "sites.csv: and 10 more")


def test_the_example_is_valid_and_has_the_site_of_the_example_agent() -> None:
    file = InventoryFile(EXAMPLE)
    file.load()
    assert {site.departement for site in file.sites.values()} == {"03", "15", "43", "63"}
    assert "0631234A" in file.sites


@pytest.mark.parametrize(("content", "expected"), [
    (None, "{path}: No such file or directory"),
    (b"site_id,name\nA,Lyc\xe9e\n", "{path}: not UTF-8: save it as CSV in UTF-8"),
])  # fmt: skip
def test_an_unreadable_file_is_a_problem(tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "sites.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InventoryError) as raised:
        InventoryFile(path).load()
    assert raised.value.problems == [expected.format(path=path)]


def test_a_changed_file_is_read_again_and_one_with_mistakes_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "sites.csv"
    path.write_text("site_id,name\nA,x\n")
    file = InventoryFile(path)
    file.load()
    assert not file.refresh()

    replace(path, "site_id,name\nA,\n")
    assert not file.refresh()
    with caplog.at_level(logging.ERROR):
        assert not file.refresh()
    assert list(file.sites) == ["A"]
    assert file.problem == f"{path}, line 2, column name: empty"
    assert f"changed inventory not used: {path}, line 2, column name: empty" in caplog.text

    replace(path, "site_id,name\nB,y\n")
    assert not file.refresh()
    assert file.refresh()
    assert (list(file.sites), file.problem) == (["B"], None)


def test_a_file_that_is_still_being_written_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sites.csv"
    path.write_text("site_id,name\nA,x\nB,y\n")
    file = InventoryFile(path)
    file.load()
    for text in ("site_id,name\n", "site_id,name\nA,x\n", "site_id,name\nA,x\nB,y\nC,z\n"):
        path.write_text(text)
        assert not file.refresh()
        assert list(file.sites) == ["A", "B"]
    assert file.refresh()
    assert list(file.sites) == ["A", "B", "C"]
    assert not file.refresh()


def replace(path: Path, text: str) -> None:
    """Replace a file by a new one, as an editor does."""
    other = path.with_suffix(".new")
    other.write_text(text)
    other.replace(path)


@pytest.mark.parametrize("wrong", ["site_id,name\nA,\n", None])
def test_after_a_restart_with_a_wrong_file_the_last_valid_one_is_used(
    tmp_path: Path, wrong: str | None
) -> None:
    path, kept = tmp_path / "sites.csv", tmp_path / "state" / "ledger.db-inventory.csv"
    path.write_text("\ufeffsite_id,name\r\nA,Lycée\r\n")
    InventoryFile(path, kept).load_or_last_valid()
    if wrong is None:
        path.unlink()
    else:
        replace(path, wrong)
    file = InventoryFile(path, kept)
    file.load_or_last_valid()
    assert (list(file.sites), file.problem is not None) == (["A"], True)
    replace(path, "site_id,name\nB,y\n")
    assert not file.refresh()
    assert file.refresh()
    assert (list(file.sites), file.problem) == (["B"], None)
    assert kept.read_text() == "site_id,name\nB,y\n"


def test_a_wrong_file_at_the_very_first_start_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sites.csv"
    path.write_text("site_id,name\nA,\n")
    with pytest.raises(InventoryError):
        InventoryFile(path, tmp_path / "kept.csv").load_or_last_valid()


def test_a_disk_that_takes_no_copy_is_no_reason_to_refuse_an_inventory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "sites.csv"
    path.write_text("site_id,name\nA,x\n")
    file = InventoryFile(path, path / "kept.csv")
    file.load_or_last_valid()
    assert list(file.sites) == ["A"]
    assert "cannot keep a copy of the inventory" in caplog.text
