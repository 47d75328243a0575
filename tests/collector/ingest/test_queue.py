import threading

import pytest

from collector.ingest.queue import GROUP_BYTES, GROUP_MESSAGES, Intake, IntakeRefusal
from collector.model.message import Arrival


def message(size: int = 10, sender: object = "t") -> Arrival:
    return Arrival(f"qos/v1/{sender}/results", bytes(size), 0)


def test_messages_of_one_sender_come_out_in_order_and_in_groups() -> None:
    intake = Intake(10_000, 1_000_000)
    sent = [message(number) for number in range(GROUP_MESSAGES + 5)]
    assert not any(intake.offer(one) for one in sent)
    assert intake.take(0) == sent[:GROUP_MESSAGES]
    intake.close()
    assert intake.take(0) == sent[GROUP_MESSAGES:]
    assert intake.take(0) is None


def test_large_messages_make_small_groups_at_once() -> None:
    intake = Intake(1000, 100 * GROUP_BYTES)
    for _ in range(5):
        assert not intake.offer(message(GROUP_BYTES // 2))
    intake.close()
    assert [len(intake.take(0) or []) for _ in range(4)] == [2, 2, 1, 0]


def test_a_flood_of_one_sender_is_refused_and_delays_nobody() -> None:
    intake = Intake(20_000, 64_000_000)
    refusals = [intake.offer(message(sender="flood")) for _ in range(20_000)]
    assert set(refusals) == {None, IntakeRefusal.SENDER}
    others = [message(sender=number) for number in range(30)]
    assert not any(intake.offer(one) for one in others)
    group = intake.take(0) or []
    assert [one for one in group[:31] if one.topic != message(sender="flood").topic] == others


def test_large_messages_wait_for_more_turns_than_small_ones() -> None:
    intake = Intake(1000, 64_000_000)
    for _ in range(4):
        assert not intake.offer(message(500_000, "large"))
        assert not intake.offer(message(sender="small"))
    assert [len(one.payload) for one in intake.take(0) or []] == [10] * 4 + [500_000] * 4


@pytest.mark.parametrize("flooding", [2, 40, 1000])
@pytest.mark.parametrize("size", [10, 500_000])
def test_floods_of_many_senders_leave_room_for_first_messages(flooding: int, size: int) -> None:
    intake = Intake(8000, 2_000_000_000)
    for _ in range(3):
        assert all(
            intake.offer(message(size, f"flood{number}")) is not IntakeRefusal.FULL
            for number in range(flooding)
            for _ in range(5)
        )
    assert not any(intake.offer(message(sender=number)) for number in range(1000))


def test_a_queue_that_is_full_of_first_messages_is_full_for_everybody() -> None:
    intake = Intake(4, 1000)
    assert [intake.offer(message(sender=number)) for number in range(5)] == [None] * 4 + [IntakeRefusal.FULL]
    assert len(intake) == 4
    intake = Intake(10, 100)
    assert [intake.offer(message(60, number)) for number in range(2)] == [None, IntakeRefusal.FULL]
    intake.close()
    assert intake.take(0) == [message(60, 0)]
    assert intake.offer(message(1)) is IntakeRefusal.FULL


def test_room_comes_back_when_the_writer_takes() -> None:
    intake = Intake(1, 100)
    for _ in range(3):
        assert not intake.offer(message(100))
        assert intake.take(0) == [message(100)]
    assert intake.take(0) == []


def test_a_waiting_writer_is_woken_by_the_end() -> None:
    intake = Intake(1, 100)
    results: list[object] = []
    writer = threading.Thread(target=lambda: results.append(intake.take(60)))
    writer.start()
    intake.close()
    writer.join(10)
    assert results == [None]


def test_what_is_abandoned_is_never_taken() -> None:
    intake = Intake(10, 100)
    assert not any(intake.offer(message(sender=number)) for number in range(3))
    intake.close()
    assert intake.abandon() == 3
    assert intake.take(60) is None
