import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.faults.processes.mqtt_frames import FramingError, Packets, PublishFrame, publication

PUBLISH = b"\x32\x08\x00\x03a/b\x00\x07!"
LONG = b"\x30\xac\x02" + bytes(300)


@given(st.lists(st.integers(1, 20), min_size=1))
def test_packets_are_complete_however_they_arrive(cuts: list[int]) -> None:
    sent, packets, found = PUBLISH + b"\xc0\x00" + LONG + PUBLISH, Packets(), []
    while sent:
        cut = cuts.pop() if cuts else len(sent)
        found += packets.feed(sent[:cut])
        sent = sent[cut:]
    assert found == [PUBLISH, b"\xc0\x00", LONG, PUBLISH]


@given(st.binary())
def test_any_bytes_are_packets_or_an_error(data: bytes) -> None:
    try:
        for packet in Packets().feed(data):
            publication(packet)
    except FramingError:
        pass


def test_an_oversized_packet_is_refused_by_its_length() -> None:
    with pytest.raises(FramingError, match="268435460 bytes"):
        Packets().feed(b"\x30\xff\xff\xff\x7f")


def test_the_head_of_a_publication() -> None:
    assert publication(PUBLISH) == PublishFrame("a/b", 1, b"\x00\x07")
    assert publication(b"\xc0\x00") is None


@pytest.mark.parametrize(
    ("packet", "acknowledgement"), [(PUBLISH, b"\x40\x02\x00\x07"), (b"\x30\x05\x00\x03a/b", b"")]
)
def test_only_a_publication_of_quality_1_is_acknowledged(packet: bytes, acknowledgement: bytes) -> None:
    found = publication(packet)
    assert found is not None
    assert found.acknowledgement == acknowledgement
