import threading

from collector.ingest.queue import GROUP_BYTES, GROUP_MESSAGES, Intake
from collector.model.message import Arrival


def message(size: int = 10) -> Arrival:
    return Arrival("t", bytes(size), 0)


def test_messages_come_out_in_order_and_in_groups() -> None:
    intake = Intake(1000, 1_000_000)
    sent = [message(number) for number in range(GROUP_MESSAGES + 5)]
    assert all(intake.offer(one) for one in sent)
    assert intake.take(0) == sent[:GROUP_MESSAGES]
    intake.close()
    assert intake.take(0) == sent[GROUP_MESSAGES:]
    assert intake.take(0) is None


def test_large_messages_make_small_groups_at_once() -> None:
    intake = Intake(1000, 10 * GROUP_BYTES)
    for _ in range(5):
        assert intake.offer(message(GROUP_BYTES // 2))
    intake.close()
    assert [len(intake.take(0) or []) for _ in range(4)] == [2, 2, 1, 0]


def test_what_does_not_fit_is_not_taken() -> None:
    intake = Intake(2, 100)
    assert [intake.offer(message()) for _ in range(3)] == [True, True, False]
    assert len(intake) == 2
    intake = Intake(10, 100)
    assert [intake.offer(message(60)) for _ in range(2)] == [True, False]
    intake.close()
    assert intake.take(0) == [message(60)]
    assert not intake.offer(message(1))


def test_room_comes_back_when_the_writer_takes() -> None:
    intake = Intake(1, 100)
    for _ in range(3):
        assert intake.offer(message(100))
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
    assert [intake.offer(message()) for _ in range(3)] == [True] * 3
    intake.close()
    assert intake.abandon() == 3
    assert intake.take(60) is None
