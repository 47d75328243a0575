from pathlib import Path

import psutil
import pytest

from agent.line.counters import DirectorySource, InterfaceSource, source_of
from agent.line.readings import CounterReading, Reset, Unavailable
from agent.settings.sections import LineCountersSettings
from wire import records


def lay_out(directory: Path, **values: object) -> DirectorySource:
    for name in ("rx_bytes", "rx_packets", "tx_bytes", "tx_packets"):
        (directory / name).write_text(f"{values.get(name, 0):>15}\n")
    return DirectorySource(directory)


def test_a_directory_gives_bytes_and_packets_each_way(tmp_path: Path) -> None:
    source = lay_out(tmp_path, rx_bytes=151_400, rx_packets=100, tx_bytes=740, tx_packets=10)
    assert source.read() == CounterReading(151_400, 100, 740, 10)


def test_the_ip_layer_is_fourteen_bytes_a_packet_less() -> None:
    reading = CounterReading(151_400, 100, 740, 10)
    assert (reading.received_ip_bytes, reading.sent_ip_bytes) == (150_000, 600)


def test_what_was_added_between_two_readings() -> None:
    assert CounterReading(10, 2, 30, 4).since(CounterReading(1, 1, 10, 1)) == CounterReading(9, 1, 20, 3)


def test_a_counter_that_went_back_gives_no_difference() -> None:
    assert CounterReading(10, 2, 3, 4).since(CounterReading(11, 2, 3, 4)) == Reset(
        "a counter of the line went back: the interface was set up again"
    )


def test_an_interface_with_a_new_index_gives_no_difference() -> None:
    before, now = CounterReading(1, 1, 1, 1, generation=4), CounterReading(9, 9, 9, 9, generation=5)
    assert isinstance(now.since(before), Reset)


def test_unknown_counters_are_absent_from_the_difference() -> None:
    before = CounterReading(1, 1, 1, 1, received_errors=3, carrier_losses=1)
    now = CounterReading(2, 2, 2, 2, received_errors=5, sent_errors=7, carrier_losses=2, carrier=True)
    added = now.since(before)
    assert added == CounterReading(1, 1, 1, 1, received_errors=2, carrier_losses=1, carrier=True)


def test_a_missing_directory_is_reported(tmp_path: Path) -> None:
    where = tmp_path / "none"
    assert DirectorySource(where).read() == Unavailable(
        f"line_counters.path: {where}/rx_bytes: No such file or directory"
    )


def test_a_file_without_a_number_is_reported(tmp_path: Path) -> None:
    assert lay_out(tmp_path, rx_bytes="many").read() == Unavailable(
        f"line_counters.path: {tmp_path}: a file there has no number in it"
    )


def lay_out_link(directory: Path, **values: object) -> None:
    for name, value in values.items():
        (directory / name).write_text(f"{value}\n")


def test_a_directory_like_the_kernels_gives_the_files_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "wan0" / "statistics"
    folder.mkdir(parents=True)
    lay_out_link(folder, rx_errors=1, tx_errors=2, rx_dropped=3, rx_missed_errors=4, tx_dropped=5)
    lay_out_link(folder.parent, carrier=1, carrier_down_count=6, speed=100, ifindex=7, type=1)
    source = lay_out(folder, rx_bytes=10)
    assert source.interface == "wan0"
    assert source.read() == CounterReading(
        10,
        0,
        0,
        0,
        received_errors=1,
        received_drops=7,
        sent_errors=2,
        sent_drops=5,
        carrier_losses=6,
        carrier=True,
        speed_bps=100e6,
        frame_bytes=14,
        generation=7,
    )


@pytest.mark.parametrize("kind", [512, 769, 778, 65534])
def test_ppp_and_tun_count_ip_packets_alone(tmp_path: Path, kind: int) -> None:
    lay_out_link(tmp_path, type=kind)
    reading = lay_out(tmp_path, rx_bytes=1500, rx_packets=1).read()
    assert isinstance(reading, CounterReading)
    assert reading.received_ip_bytes == 1500


def test_a_speed_that_the_driver_does_not_know_is_absent(tmp_path: Path) -> None:
    lay_out_link(tmp_path, speed=-1)
    reading = lay_out(tmp_path).read()
    assert isinstance(reading, CounterReading)
    assert reading.speed_bps is None


def test_loopback_is_refused_with_the_reason() -> None:
    reading = InterfaceSource("lo").read()
    assert isinstance(reading, Unavailable)
    assert reading.detail.startswith("lo is a loopback, which counts every byte of a test twice")


def test_a_missing_interface_is_reported() -> None:
    assert InterfaceSource("eth99").read() == Unavailable(
        "this machine has no interface eth99: correct line_counters.interface"
    )


def real_interfaces() -> list[str]:
    """The busiest first: others may be set up, and removed, by another test at this moment."""
    counted = psutil.net_io_counters(pernic=True)
    return sorted(counted.keys() - {"lo"}, key=lambda name: -counted[name].bytes_recv)


def test_a_real_interface_is_read_as_psutil_reads_it() -> None:
    real = real_interfaces()
    if not real:
        pytest.skip("this machine has loopback only")
    before, reading = psutil.net_io_counters(pernic=True)[real[0]], InterfaceSource(real[0]).read()
    after, state = psutil.net_io_counters(pernic=True)[real[0]], psutil.net_if_stats()[real[0]]
    assert isinstance(reading, CounterReading)
    assert before.bytes_recv <= reading.received_bytes <= after.bytes_recv
    assert before.packets_recv <= reading.received_packets <= after.packets_recv
    assert before.bytes_sent <= reading.sent_bytes <= after.bytes_sent
    assert before.packets_sent <= reading.sent_packets <= after.packets_sent
    assert before.errin <= (reading.received_errors or 0) <= after.errin
    assert before.errout <= (reading.sent_errors or 0) <= after.errout
    assert before.dropin <= (reading.received_drops or 0) <= after.dropin
    assert before.dropout <= (reading.sent_drops or 0) <= after.dropout
    assert reading.carrier is ("running" in state.flags.split(","))


def test_a_real_interface_is_read_as_the_kernel_counts_it() -> None:
    real = real_interfaces()
    if not real:
        pytest.skip("this machine has loopback only")
    before = DirectorySource(Path(f"/sys/class/net/{real[0]}/statistics")).read()
    reading = InterfaceSource(real[0]).read()
    assert isinstance(before, CounterReading)
    assert isinstance(reading, CounterReading)
    added = reading.since(before)
    assert isinstance(added, CounterReading)
    assert (reading.frame_bytes, reading.generation) == (before.frame_bytes, before.generation)
    assert (reading.carrier_losses, reading.carrier) == (before.carrier_losses, before.carrier)


@pytest.mark.parametrize(("chosen", "kind"), [
    (LineCountersSettings(), records.LineCounters.NONE),
    (LineCountersSettings(source="inline", interface="eth0"), records.LineCounters.INLINE),
    (LineCountersSettings(source="directory", path="/x"), records.LineCounters.INLINE),
])  # fmt: skip
def test_the_settings_name_the_source(chosen: LineCountersSettings, kind: records.LineCounters) -> None:
    assert source_of(chosen).kind is kind


def test_no_source_is_unavailable() -> None:
    assert source_of(LineCountersSettings()).read() == Unavailable("line_counters.source is none")


def test_the_loopback_is_refused_as_a_directory_too() -> None:
    told = DirectorySource(Path("/sys/class/net/lo/statistics")).read()
    assert isinstance(told, Unavailable)
    assert told.detail == (
        "/sys/class/net/lo/statistics belongs to a loopback, which counts every byte of a test twice:"
        " set line_counters.path to the one that carries the site's traffic"
    )
