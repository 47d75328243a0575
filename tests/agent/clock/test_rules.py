"""Records of the wall clock's changes, reading by reading."""

from msgspec.structs import replace

from agent.clock.rules import ClockChanges
from agent.train.peer_time import PeerClockOffset, PeerTime
from tests.agent.fakes import FakeClock
from wire.records import ClockChange, ClockValues

TEN_YEARS_US = 315_576_000_000_000


class Watched:
    """A clock that is read every five seconds, and what the core makes of it."""

    def __init__(self, *, synchronised: bool = False) -> None:
        self.clock = FakeClock(synchronised=synchronised)
        self.peer_time = PeerTime()
        self._changes = ClockChanges()

    def look(self) -> ClockValues | None:
        self.clock.advance(5)
        return self._changes.look(self.clock.read(), self.peer_time)

    @property
    def offset_us(self) -> int:
        return self.clock.wall_us - self.clock.boot_us


def test_a_start_with_a_synchronised_clock_is_recorded_once() -> None:
    watched = Watched(synchronised=True)
    values = watched.look()
    assert values == ClockValues(change=ClockChange.SYNCHRONISED, offset_us=watched.offset_us)
    assert watched.look() is None


def test_the_first_synchronisation_is_recorded_with_both_offsets() -> None:
    watched = Watched()
    assert watched.look() is None
    before = watched.offset_us
    watched.clock.wall_us += TEN_YEARS_US
    watched.clock.synchronised = True
    values = watched.look()
    assert values is not None
    assert (values.change, values.before_us) == (ClockChange.SYNCHRONISED, before)
    assert values.offset_us == before + TEN_YEARS_US
    assert watched.look() is None


def test_steps_either_way_are_recorded_and_slewing_is_not() -> None:
    watched = Watched()
    watched.look()
    for step_us in (-TEN_YEARS_US, TEN_YEARS_US, 100_000, -100_000):
        before = watched.offset_us
        watched.clock.wall_us += step_us
        watched.clock.advance(60)
        values = watched.look()
        assert values is not None
        assert (values.change, values.offset_us - before) == (ClockChange.STEPPED, step_us)
    watched.clock.wall_us += 2500  # 500 ppm
    assert watched.look() is None


def test_a_clock_that_is_set_repeatedly_is_recorded_once_a_minute() -> None:
    watched = Watched()
    watched.look()
    begin_us, told = watched.offset_us, []
    for _ in range(48):  # four minutes
        watched.clock.wall_us += 1_000_000
        told.append(watched.look())
    changes = [values for values in told if values is not None]
    assert len(changes) == 4
    assert changes[0].before_us == begin_us
    assert [one.before_us for one in changes[1:]] == [one.offset_us for one in changes[:-1]]


def test_the_loss_of_synchronisation_is_recorded() -> None:
    watched = Watched(synchronised=True)
    watched.look()
    watched.clock.advance(60)
    watched.clock.synchronised = False
    values = watched.look()
    assert values is not None
    assert values.change is ClockChange.LOST


def test_a_synchronised_peers_time_is_recorded_while_the_clock_is_not() -> None:
    watched = Watched()
    told = PeerClockOffset(
        offset_us=TEN_YEARS_US, error_us=5000, boot_us=watched.clock.boot_us, synchronised=False
    )
    watched.peer_time.offset = told
    assert watched.look() is None
    watched.peer_time.offset = replace(told, synchronised=True)
    values = watched.look()
    assert values is not None
    assert (values.change, values.peer_offset_us, values.peer_error_us) == (
        ClockChange.PEER,
        TEN_YEARS_US,
        5000,
    )
    watched.peer_time.offset = replace(told, synchronised=True, boot_us=told.boot_us + 60_000_000)
    assert watched.look() is None, "the same again"
    watched.peer_time.offset = replace(told, synchronised=True, offset_us=told.offset_us + 2_000_000)
    assert watched.look() is not None, "the peer's clock was set"
    watched.peer_time.offset = replace(watched.peer_time.offset, boot_us=told.boot_us + 21_600_000_000)
    assert watched.look() is not None, "six hours later"
