"""Counts of a load at the server: its own are exact, the client's are inferred from its packets."""

from dataclasses import dataclass

from wire.udpstp.ends.receiver import ReceivingEnd
from wire.udpstp.ends.sender import SendingEnd
from wire.udpstp.ends.series import FeedbackCounter


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadCounts:
    """Counts of Load PDUs with testAction 0; bytes at the IP layer, None where this end does not know.

    ``lost`` is the load receiver's count, without packets lost after the last arrival. ``span_us`` is the
    time from the first to the last Load PDU at this end.
    """

    sent_packets: int | None = None
    sent_ip_bytes: int | None = None
    received_packets: int | None = None
    received_ip_bytes: int | None = None
    lost: int | None = None
    span_us: int | None = None


def of_sending(end: SendingEnd, feedback: FeedbackCounter, overhead: int) -> LoadCounts:
    """Counts in the direction down: sent as counted here, received as the client's Status PDUs report."""
    sender = end.sender
    sent = LoadCounts(
        sent_packets=sender.sent_packets,
        sent_ip_bytes=sender.sent_payload_bytes + sender.sent_packets * overhead,
        span_us=(sender.last_sent - sender.first_sent) // 1000,
    )
    if not feedback.highest:
        return sent
    totals = feedback.totals()
    # The client of a fixed rate reports the lead-in, and does not count it.
    lead_in = end.lead_in if end.control.is_fixed else None
    before, payload = (lead_in.packets, lead_in.payload_bytes) if lead_in else (0, 0)
    received = max(totals.datagrams - before, 0)
    return LoadCounts(
        sent_packets=sent.sent_packets,
        sent_ip_bytes=sent.sent_ip_bytes,
        received_packets=received,
        received_ip_bytes=max(totals.payload_bytes - payload, 0) + received * overhead,
        lost=totals.lost,
        span_us=sent.span_us,
    )


def of_receiving(end: ReceivingEnd, overhead: int) -> LoadCounts:
    """Counts in the direction up: received as counted here, sent as inferred from sequence numbers."""
    receiver = end.receiver
    return LoadCounts(
        sent_packets=receiver.highest,
        received_packets=receiver.packets,
        received_ip_bytes=end.payload_bytes + receiver.packets * overhead,
        # From the highest number: the losses of the intervals contain packets that arrived later.
        lost=max(receiver.highest - (receiver.packets - end.duplicated), 0),
        span_us=max(receiver.last_wall - receiver.first_wall, 0) // 1000,
    )
