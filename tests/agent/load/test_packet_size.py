import pytest
from msgspec.structs import replace

from agent.load.packet_size import SIZES, PacketSize
from lab.links.line import LineSettings
from tests.agent.load import fixed_rate
from wire.records import Direction
from wire.udpstp.load import Ending, LoadReport

REPORT = fixed_rate.run(LineSettings(rate=20_000_000, queue=100_000))[0]
NOTHING = replace(REPORT, received_packets=0, ending=Ending.STOPPED_BY_PEER)


def test_a_smaller_size_is_taken_where_nothing_of_a_load_arrived_and_kept() -> None:
    size = PacketSize()
    assert size.of(Direction.DOWN) == SIZES[0] == 1250
    assert size.shrinks_after(NOTHING)
    assert (size.of(Direction.DOWN), size.of(Direction.UP)) == (1000, 1250)
    assert not size.shrinks_after(REPORT)
    assert size.of(Direction.DOWN) == 1000


def test_a_line_on_which_nothing_arrives_at_any_size_begins_again_with_the_largest() -> None:
    size = PacketSize()
    assert [size.shrinks_after(NOTHING) for _ in SIZES] == [True] * (len(SIZES) - 1) + [False]
    assert size.of(Direction.DOWN) == SIZES[0]


@pytest.mark.parametrize(
    "report",
    [
        replace(NOTHING, ending=Ending.REFUSED),
        replace(NOTHING, ending=Ending.NO_ANSWER),
        replace(NOTHING, ending=Ending.TEST_PORT_SILENT),
        replace(NOTHING, received_packets=1),
    ],
)
def test_other_failures_are_no_matter_of_size(report: LoadReport) -> None:
    assert not PacketSize().shrinks_after(report)
