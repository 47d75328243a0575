from peer.admission import Admission, AdmissionLimits, Denial, Ticket
from wire.records import Direction

DOWN, UP = Direction.DOWN, Direction.UP


def test_bandwidth_is_counted_per_direction() -> None:
    admission = Admission(AdmissionLimits(down_bps=20, up_bps=10, sessions=9))
    first = admission.admit(1, DOWN, 12)
    assert isinstance(first, Ticket)
    assert admission.admit(1, DOWN, 9) is Denial.BANDWIDTH
    assert isinstance(admission.admit(1, UP, 10), Ticket)
    assert isinstance(admission.admit(2, DOWN, 8), Ticket)
    admission.release(first)
    assert isinstance(admission.admit(2, DOWN, 12), Ticket)


def test_sessions_in_all() -> None:
    admission = Admission(AdmissionLimits(down_bps=99, up_bps=99, sessions=2))
    tickets = [admission.admit(key, direction, 1) for key, direction in ((1, DOWN), (2, UP))]
    assert admission.admit(3, UP, 1) is Denial.SESSIONS
    assert admission.running == 2
    assert isinstance(tickets[0], Ticket)
    admission.release(tickets[0])
    assert isinstance(admission.admit(3, UP, 1), Ticket)


def test_tests_of_one_key_in_one_direction() -> None:
    admission = Admission(AdmissionLimits(down_bps=99, up_bps=99, sessions=9, tests_per_key=1))
    first = admission.admit(1, DOWN, 1)
    assert isinstance(first, Ticket)
    assert admission.admit(1, DOWN, 1) is Denial.KEY
    assert isinstance(admission.admit(1, UP, 1), Ticket)
    assert isinstance(admission.admit(2, DOWN, 1), Ticket)
    admission.release(first)
    assert isinstance(admission.admit(1, DOWN, 1), Ticket)


def test_a_second_release_of_a_ticket_changes_nothing() -> None:
    admission = Admission(AdmissionLimits(down_bps=10, up_bps=10, sessions=9))
    ticket = admission.admit(1, DOWN, 10)
    assert isinstance(ticket, Ticket)
    admission.release(ticket)
    admission.release(ticket)
    assert isinstance(admission.admit(1, DOWN, 10), Ticket)
    assert admission.admit(1, DOWN, 1) is Denial.BANDWIDTH
