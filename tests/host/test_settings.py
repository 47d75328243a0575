from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta, Struct, field

from host.settings import MAX_FILE_BYTES, SettingsError, belonging_to, load
from host.units import BitRate, ByteSize, Seconds


class Layer(StrEnum):
    IP = "ip"
    TCP = "tcp"


class Floor(Struct):
    down: BitRate = BitRate(8_000_000)
    tries: Annotated[int, Meta(ge=1, le=5)] = 3
    layer: Layer | None = None


class Class(Struct):
    dscp: int
    layer: Layer = Layer.IP


class Example(Struct):
    site: str
    floor: Floor = field(default_factory=Floor)
    interval: Seconds = Seconds(60)
    size: ByteSize = ByteSize(1)
    classes: list[Class] = []
    password: str | None = None


def read(tmp_path: Path, text: str | bytes) -> Example:
    path = tmp_path / "x.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path, Example)


def test_a_file_becomes_settings(tmp_path: Path) -> None:
    text = "site: A\nfloor: {down: 10 Mbit/s}\ninterval: 5 min\nsize: 64 kB\nclasses:\n  - dscp: 46\n"
    assert read(tmp_path, text) == Example(
        "A", Floor(BitRate(10_000_000)), Seconds(300), ByteSize(64000), [Class(46)]
    )


def test_a_byte_order_mark_and_line_ends_of_windows_are_read(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbfsite: A\r\nfloor:\r\n  tries: 2\r\n"
    assert read(tmp_path, text) == Example("A", Floor(tries=2))


ODDLY = ("015", "0x3", "1_0", "1:30")
ODD = "a number with a leading zero, a colon or the like: write it in plain digits, or a text in quotes"
QUANTITY = "expected a quantity such as"


@pytest.mark.parametrize(("text", "message"), [
    ("", "missing setting `site`"),
    ("site: 3", "site: expected text, got a whole number: write it in quotes"),
    ("site: no", "site: expected text, got true or false: write it in quotes"),
    ("site: 2026-01-01", "site: expected text, got a date: write it in quotes"),
    ("site: [a]", "site: expected text, got a list"),
    ("site: A\nsight: B", "sight: no such setting; did you mean `site`?"),
    ("site: A\nqqq: B", "qqq: no such setting; there are: classes, floor, interval, password, site, size"),
    ("site: A\nfloor: {up: 3}", "floor.up: no such setting; there are: down, layer, tries"),
    ("site: A\nfloor: 8", "floor: expected a section of `key: value` lines, got a whole number"),
    ("site: A\nfloor: {layer: udp}", "floor.layer: expected one of ip, tcp"),
    ("site: A\nfloor: {tries: 9}", "floor.tries: expected a whole number <= 5"),
    ("site: A\nfloor: {down: 8 mbps}",
     "floor.down: unknown unit 'mbps': write one of bit/s, kbit/s, Mbit/s, Gbit/s"),
    ("site: A\nfloor: {down: fast}", f"floor.down: {QUANTITY} '8 Mbit/s', got 'fast'"),
    ("site: A\nfloor: {down: yes}", f"floor.down: {QUANTITY} '8 Mbit/s', got true or false"),
    ("site: A\nfloor: {down: 8}", "floor.down: 8 alone is 8 bit/s: write it with its unit, as '8 Mbit/s'"),
    ("site: A\nfloor: {down: '8'}", f"floor.down: {QUANTITY} '8 Mbit/s', got '8'"),
    ("site: A\nsize: 64", "size: 64 alone is 64 B: write it with its unit, as '200 MB'"),
    ("site: A\ninterval: -1", f"interval: {QUANTITY} '10 s', got -1"),
    ("site: A\ninterval: .nan", f"interval: {QUANTITY} '10 s', got nan"),
    ("site: A\nclasses: [{dcsp: 46}]", "classes[0].dcsp: no such setting; did you mean `dscp`?"),
    ("site: A\nclasses: [{dscp: 46, layer: udp}]", "classes[0].layer: expected one of ip, tcp"),
    ("site: A\nclasses: [{dscp: x}]", "classes[0].dscp: expected a whole number, got text"),
    ("site: A\npassword: 12345",
     "password: expected text or nothing, got a whole number: write it in quotes"),
    *((f"site: A\nfloor:\n  tries: {odd}", f"floor.tries: line 3: {ODD}") for odd in ODDLY),
    ("site: A\nclasses: [{dscp: 046}]", f"classes[0].dscp: line 2: {ODD}"),
    ("site: A\nfloor: {down: 010000000}", f"floor.down: line 2: {ODD}"),
    ("site: A\nfloor: {down: 08 Mbit/s}", f"floor.down: {QUANTITY} '8 Mbit/s', got '08 Mbit/s'"),
    ("site: A\ninterval: 1:30.5", f"interval: line 2: {ODD}"),
    ("site: 0631234", f"site: line 1: {ODD}"),
    ("site: &a A\nfloor: &f {tries: 1}\nclasses:\n  - <<: *f",
     "classes[0]: line 4: `<<` is not read: write the settings themselves"),
    ("site: A\nsite: B", "line 2: `site` is written twice: keep one"),
    ("- A", "expected a section of `key: value` lines, got a list"),
    ("site: [A", "line 1, column 9: not valid YAML: expected ',' or ']', but got '<stream end>'"),
    ("{[a]: 1}", "line 1, column 2: not valid YAML: found unhashable key"),
    (b"\xff\xfe\x00", "not UTF-8 text: this is no settings file"),
    (b"#" * (MAX_FILE_BYTES + 1), "larger than 1048576 bytes: this is no settings file"),
])  # fmt: skip
def test_every_error_is_reported_with_its_place(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)
    assert str(caught.value) == f"{tmp_path}/x.yaml: {message}"


def test_a_number_alone_is_in_the_smallest_unit_where_that_can_be_meant(tmp_path: Path) -> None:
    read_so = read(tmp_path, "site: A\nfloor: {down: 8000000}\nsize: 0\ninterval: 10\n")
    assert (read_so.floor.down, read_so.size, read_so.interval) == (8_000_000, 0, 10)


def test_an_error_in_a_named_file_has_both_paths() -> None:
    with pytest.raises(SettingsError) as caught, belonging_to(Path("a.yaml")):
        raise SettingsError("key_file: none")
    assert str(caught.value) == "a.yaml: key_file: none"


@pytest.mark.parametrize(("name", "message"), [
    ("none.yaml", "no such file: give the path of a settings file"), ("", "cannot be read: Is a directory"),
])  # fmt: skip
def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(tmp_path / name, Example)
