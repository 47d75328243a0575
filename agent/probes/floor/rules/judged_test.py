"""Signs of one judged test, derived from its packets and the traffic beside it. Pure.

:mod:`.signs` says what each sign proves.
"""

from msgspec import Struct

from agent.load.rules.busy_window import BusyWindow
from agent.load.rules.own_traffic import DELIVERED_SHARE, IN_USE_SHARE, OwnTraffic
from agent.load.rules.series import Growth, QueueDrain
from agent.load.rules.validity import SENDERS, SENT_SHARE, why_invalid
from wire.udpstp.load import LoadReport

PASS_SHARE = 0.99  # of the floor: from here up a line passes
FAIL_SHARE = 0.98  # of the floor: from here down it fails (decision 18); between the two it is grey
QUEUE_SIGN_US = 10_000  # no jitter looks like so much growth of the smallest delay
MOVED_US = 12_000  # jitter and the search for minima shift the idle path by less
CAP_RATIO = 1.1  # offered 25 % more, a capped line delivers the same, a lossy one 25 % more
LONG_US = 4_000_000  # a rate that swings each second shows its mean within it


class JudgedTest(Struct, frozen=True):
    """One test, with the traffic beside it and what is derived from both."""

    report: LoadReport
    floor_bps: float
    own: OwnTraffic
    growth: Growth
    drain: QueueDrain | None
    delivered: float
    ended_early: bool = False
    pre_drained: bool = False

    @property
    def lost(self) -> bool:
        """True for losses of 1 % and more."""
        return self.delivered < DELIVERED_SHARE

    @property
    def among_others(self) -> bool:
        """True where delays show other traffic, or a sender's pauses, as much as the line."""
        return self.in_use or self.ended_early or self.slower or why_invalid(self.report) in SENDERS

    @property
    def slower(self) -> bool:
        """True where the test offered the floor only together with the site's own traffic."""
        return self.report.planned_bps < self.floor_bps

    @property
    def window(self) -> BusyWindow | None:
        """Busy window to judge by, among others."""
        return self.own.window if self.among_others else None

    @property
    def has_certain_window(self) -> bool:
        """True for a busy window in which a queue, and not a longer path, kept the packets waiting."""
        # Where the site sends or receives, the probes show its traffic; otherwise they show the path.
        is_known = self.pre_drained or (self.drain is not None and not self.path_changed)
        return self.window is not None and (self.in_use or is_known)

    @property
    def path_change_us(self) -> float:
        """Time by which the path became longer or shorter, or varied when idle; 0 where it is not known."""
        # A path that varies when idle can hide growth, or make it, and be back where it was at the end.
        return max(abs(self.drain.path_shift_us), self.drain.idle_range_us) if self.drain else 0.0

    @property
    def path_changed(self) -> bool:
        """True if the probes after the load saw another delay than its begin, or several."""
        if self.drain is None:
            return False
        # On a very slow line the delay of single packets differs by the time that one takes.
        packet_us = self.report.sent_ip_bytes / self.report.sent_packets * 8e6 / self.report.received_bps
        return self.path_change_us > MOVED_US + packet_us

    @property
    def moved(self) -> bool:
        """True if the path itself became longer or shorter; among others the probes show their traffic."""
        return self.path_changed and not self.among_others

    @property
    def in_use(self) -> bool:
        """True if the site used a noticeable share of the line."""
        return self.own.bps >= IN_USE_SHARE * self.floor_bps

    @property
    def of_moved_path(self) -> float | None:
        """Capacity of a line whose path moved, bit/s; None where it is not certain.

        A path that is still again has made one step, which the median growth of the load does not see.
        Otherwise the drain shows the queue. A path that jumps just after the load looks like a drain, or
        hides one: the least delays of longer times must not contradict it. With losses a part of the queue
        is missing.
        """
        if self.drain is None or self.lost:
            return None
        offered = self.floor_bps / self.report.sent_bps
        fails, passes = 1 - FAIL_SHARE * offered, 1 - PASS_SHARE * offered
        rate, envelope, median = self.drain.rate, self.drain.envelope_rate, self.drain.median_rate
        if self.drain.idle_range_us <= MOVED_US:
            rate, contradicting = median, rate
            # A path that grew little by little has median growth too, but no queue that drains.
            has_grown = abs(self.drain.depth_us) < QUEUE_SIGN_US and envelope <= passes
            if median >= fails and contradicting <= passes and has_grown:
                rate = contradicting
            elif (median >= fails and contradicting <= passes) or (
                median <= passes and contradicting >= fails
            ):
                return None
        elif (rate >= fails and envelope < passes) or (rate <= passes and envelope > (fails + passes) / 2):
            return None
        return self._surely(self.report.sent_bps * (1 - max(0.0, rate)))

    def _surely(self, capacity_bps: float) -> float | None:
        """Capacity, or None for a faster test near the floor, where the path's change is as much."""
        if self.report.planned_bps < CAP_RATIO * self.floor_bps:
            return capacity_bps
        change_bps = self.report.sent_bps * self.path_change_us / self.report.planned_duration_us
        passes = capacity_bps - change_bps >= PASS_SHARE * self.floor_bps
        fails = capacity_bps + change_bps <= FAIL_SHARE * self.floor_bps
        return capacity_bps if passes or fails else None

    @property
    def stood_in_queue(self) -> bool:
        """True if every packet behind a pre-drain waited: the line never idled."""
        waits = [one.delay_min_us for one in self.report.intervals if one.delay_min_us is not None]
        return self.pre_drained and bool(waits) and min(waits) >= QUEUE_SIGN_US

    @property
    def beside(self) -> OwnTraffic:
        """Site's own traffic, in the busy window where there is one."""
        window = self.window
        if window is None:
            return self.own
        is_span = window.most_other_bps > window.least_other_bps
        # Up, beside losses, it is anything from 0 on. The estimate is what it was if it shared the test's
        # fate.
        estimate = max(window.least_other_bps, min(self.own.bps, window.most_other_bps))
        return OwnTraffic(estimate, window.most_other_bps if is_span else None)

    @property
    def share(self) -> float:
        """Rate of the test that the line carried, bit/s."""
        if self.window is not None:
            return self.window.share_bps
        if self.stood_in_queue:
            return self.report.received_bps
        # An overflowing queue grows for a part of the test only; then growth shows less than the rate
        # received. Without known delays the received rate is all that is certain: a deep queue delivers
        # everything, late.
        if self.delivered < DELIVERED_SHARE or not self.growth.known:
            return self.report.received_bps
        # Without loss growth shows more, because no late packet at the end disturbs it.
        return self.report.sent_bps * (1 - self.growth.rate) * self.delivered

    @property
    def total(self) -> float | None:
        """All that the line delivered, where other traffic makes the test's share a poor guide to it.

        Beside bursts of others the delays show the bursts. But a FIFO always delivers the lesser of its
        capacity and of what it is offered, and the test alone offers the floor.
        """
        return self.own.total_bps if self.in_use else None

    @property
    def carried(self) -> float:
        """Rate of all traffic that the line carried, as far as it is known, bit/s."""
        if self.window is not None or self.total is None:
            return self.share + self.beside.bps
        return self.total

    @property
    def surely_carried(self) -> float:
        """As ``carried``, with the low end where other traffic is known as a span."""
        return self.share if self.beside.most_bps is not None else self.carried

    @property
    def surely_enough(self) -> bool:
        """True where the test's own packets prove the floor, however unevenly they were sent."""
        received_bps = self.report.received_bps
        return not self.lost and min(self.share, received_bps) >= PASS_SHARE * self.floor_bps

    @property
    def faster_received(self) -> bool:
        """True if a test above the floor received the floor."""
        # A path that becomes shorter lets the same bytes arrive in less time.
        received_bps = self.report.received_bps
        if self.report.planned_bps <= self.floor_bps or not received_bps:
            return False
        taken_us = self.report.received_ip_bytes * 8e6 / received_bps
        change_us = max(self.path_change_us, self.drain.shortened_us) if self.drain else 0.0
        return received_bps * taken_us / (taken_us + change_us) >= self.floor_bps

    @property
    def all_traffic_suffices(self) -> bool:
        """True if the line delivered the floor, whoever's traffic it was."""
        return self.total is not None and self.total >= PASS_SHARE * self.floor_bps

    @property
    def carried_enough(self) -> bool:
        """True if nothing was lost, and what surely was carried suffices."""
        # A slower test with a queue was delayed by others: its share is less than the line could carry.
        tells = not self.slower or self.growth.gained_us < QUEUE_SIGN_US / 2 or self.window is not None
        return not self.lost and tells and self.surely_carried >= self.needed_bps

    @property
    def is_partial(self) -> bool:
        """True for a test that was too short, or offered too little, to show a limit of the line."""
        return self.ended_early or self.slower

    @property
    def has_queue(self) -> bool:
        """True for sustained growth of delay that the drain, if there are probes, confirms."""
        if self.drain and not self.among_others and self.drain.depth_us < QUEUE_SIGN_US:
            return False
        return self.growth.gained_us >= QUEUE_SIGN_US and self.growth.sustained

    @property
    def unsteady(self) -> bool:
        """True for a queue that the drain confirms, that would fail, and that came and went."""
        if self.drain is None or self.lost or self.growth.steady or self._all_rates_fail:
            return False
        fails = self.carried <= FAIL_SHARE * self.floor_bps
        return fails and min(self.growth.gained_us, self.drain.depth_us) >= QUEUE_SIGN_US

    @property
    def _all_rates_fail(self) -> bool:
        """True if a long test shows the same queue in three ways: the path varies beside it, not the rate."""
        if self.drain is None or self.report.planned_duration_us < LONG_US:
            return False
        least = min(self.drain.rate, self.drain.envelope_rate, self.drain.median_rate)
        return self.report.sent_bps * (1 - least) <= FAIL_SHARE * self.floor_bps

    @property
    def fails_by_loss(self) -> bool:
        """True for a queue that fails only together with the losses beside it."""
        limit = FAIL_SHARE * self.floor_bps
        return self.has_queue and self.share <= limit < self.report.sent_bps * (1 - self.growth.rate)

    @property
    def needed_bps(self) -> float:
        """Rate that the line has to carry to pass; a sender that was less than 1 % slow is forgiven."""
        sent_bps = self.report.sent_bps
        slow = self.slower or sent_bps < SENT_SHARE * self.floor_bps
        return PASS_SHARE * (self.floor_bps if slow else min(self.floor_bps, sent_bps))
