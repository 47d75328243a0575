"""What the server can say of the load of a test: what it counted itself, and what feedback told it."""

from dataclasses import dataclass

from wire.udpstp.ends import ReceivingEnd, SendingEnd
from wire.udpstp.feedback import FeedbackTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadCounts:
    """Counts of Load PDUs of the test itself, as ``wire.udpstp.load`` has them; bytes at the IP layer.

    None is what this end was not told. ``lost`` is the load receiver's own count, which what was lost behind
    the last packet to arrive is not in. ``span_us`` lies between first and last Load PDU here.
    """

    sent_packets: int | None = None
    sent_ip_bytes: int | None = None
    received_packets: int | None = None
    received_ip_bytes: int | None = None
    lost: int | None = None
    span_us: int | None = None


def of_sending(end: SendingEnd, told: FeedbackTotals, overhead: int) -> LoadCounts:
    """Downstream: sent as counted here, received as the client's Status PDUs told."""
    sender = end.sender
    sent = LoadCounts(
        sent_packets=sender.sent_packets,
        sent_ip_bytes=sender.sent_payload_bytes + sender.sent_packets * overhead,
        span_us=(sender.last_sent - sender.first_sent) // 1000,
    )
    if not told.highest:
        return sent
    totals = told.totals()
    return LoadCounts(
        sent_packets=sent.sent_packets,
        sent_ip_bytes=sent.sent_ip_bytes,
        received_packets=totals.datagrams,
        received_ip_bytes=totals.payload_bytes + totals.datagrams * overhead,
        lost=totals.lost,
        span_us=sent.span_us,
    )


def of_receiving(end: ReceivingEnd, overhead: int) -> LoadCounts:
    """Upstream: received as counted here, sent as far as sequence numbers tell."""
    receiver = end.receiver
    return LoadCounts(
        sent_packets=receiver.highest,
        received_packets=receiver.packets,
        received_ip_bytes=end.payload_bytes + receiver.packets * overhead,
        lost=max(receiver.highest - (receiver.packets - end.duplicated), 0),
        span_us=max(receiver.last_wall - receiver.first_wall, 0) // 1000,
    )
