"""In which form the peer is asked, by what it answers."""

from collections.abc import Callable

from agent.probes.reachability.rules.peer_asks import LEARN_AGAIN_ASKS, LEARNING_ASKS, MISSED, PeerAsks
from wire.stamp.brief import BYTES
from wire.stamp.packet import AUTHENTICATED_BASE_BYTES, BASE_BYTES
from wire.stamp.reflector import Reflection, ReflectorSettings, RequestArrival, SessionReflector
from wire.stamp.timestamp import ErrorEstimate

KEY = b"a key for the site"
NOW = 1_775_000_000_000_000_000
LONG, BRIEF = AUTHENTICATED_BASE_BYTES, BYTES
Hears = Callable[[bytes], bool]


def anything(_: bytes) -> bool:
    return True


def long_form(data: bytes) -> bool:
    """As a peer that is older, or another program."""
    return len(data) >= AUTHENTICATED_BASE_BYTES


def nothing(_: bytes) -> bool:
    return False


class Exchange:
    """A peer that hears what it is told to, asked again and again. ``sizes``: of what was sent each time."""

    def __init__(self, key: bytes | None = KEY) -> None:
        self.subject = PeerAsks(key)
        self.sizes: list[list[int]] = []
        self.answered: list[int] = []
        self._reflector = SessionReflector(
            ReflectorSettings(keys=(key,) if key else (), open_mode=key is None)
        )
        self._row = 0

    def ask(self, count: int, hears: Hears) -> "Exchange":
        for _ in range(count):
            self._row += 1
            packets = self.subject.packets(self._row, NOW, ErrorEstimate())
            self.sizes.append([len(one) for one in packets])
            answers = sum(self._answers(one) for one in packets if hears(one))
            self.answered.append(answers)
            self._row = 0 if answers else self._row
        return self

    def _answers(self, packet: bytes) -> bool:
        arrival = RequestArrival(NOW, ("198.51.100.7", 50_000), ("192.0.2.1", 862))
        reflection = self._reflector.receive(packet, arrival, ErrorEstimate())
        assert isinstance(reflection, Reflection)
        return self.subject.received(reflection.encode(NOW), NOW)


def test_once_it_answered_briefly_a_peer_is_asked_so() -> None:
    found = Exchange().ask(500, anything)
    assert found.sizes == [[LONG, BRIEF]] + [[BRIEF]] * 499
    assert found.answered == [1] * 500, "an ask in two forms has one answer"


def test_an_older_peer_is_asked_as_ever_and_its_upgrade_is_found() -> None:
    found = Exchange().ask(2 * LEARN_AGAIN_ASKS - 1, long_form)
    assert found.answered == [1] * len(found.sizes)
    assert found.sizes.count([LONG, BRIEF]) == LEARNING_ASKS + 1
    found.ask(3, anything)
    assert found.sizes[-3:] == [[LONG, BRIEF], [BRIEF], [BRIEF]]


def test_who_is_silent_is_asked_in_the_long_form() -> None:
    found = Exchange().ask(10, anything).ask(6, nothing).ask(3, anything)
    assert found.sizes[10:] == [[BRIEF]] + [[LONG]] * 6 + [[BRIEF]] * 2


def test_a_lost_packet_is_no_reason_to_ask_otherwise() -> None:
    found = Exchange().ask(5, anything)
    for _ in range(20):
        found.ask(1, nothing).ask(3, anything)
    assert found.sizes[5:] == [[BRIEF], [LONG], [BRIEF], [BRIEF]] * 20


def test_a_peer_that_no_longer_understands_is_asked_in_the_long_form_alone() -> None:
    found = Exchange().ask(10, anything).ask(60, long_form)
    assert found.sizes[10:] == [[BRIEF], [LONG]] * MISSED + [[LONG]] * (60 - 2 * MISSED)


def test_without_a_key_the_unauthenticated_form_is_the_only_one() -> None:
    assert Exchange(None).ask(5, anything).sizes == [[BASE_BYTES]] * 5


def test_other_datagrams_are_no_answer() -> None:
    subject = PeerAsks(KEY)
    subject.packets(1, NOW, ErrorEstimate())
    assert not subject.received(b"x" * LONG, NOW)
    assert not subject.received(b"x" * BRIEF, NOW)
