"""Run by the code of the version that is recorded, which must be first on the path: one file a message."""

import sys
from pathlib import Path

from msgspec.structs import replace

from tests.collector import examples
from wire import messages
from wire.messages import Presence, PresenceState, Reason, Receipt, ReceiptLine, ReceiptStatus
from wire.peer_tests import PeerReceipt, PeerReceiptLine
from wire.records import Direction, Failure, HostLoad, Outcome, Purpose

SITE, EPOCH = examples.SITE, examples.EPOCH


def measurements() -> list[bytes]:
    """Every kind, outcome and purpose."""
    unsynchronised = examples.clock(synchronised=False)
    made = [
        examples.floor(1),
        examples.floor(
            2, direction=Direction.UP, purpose=Purpose.RETEST, host=HostLoad(busy_ratio=0.5, load_1min=1.25)
        ),
        examples.floor(3, purpose=Purpose.PASSIVE),
        examples.stamp(4),
        examples.stamp(5, start=unsynchronised, purpose=Purpose.ON_DEMAND),
        examples.capacity(6),
        examples.interface(7),
        examples.path(8),
        examples.failed(9),
        examples.failed(10, failure=Failure.PEER_BUSY),
        replace(examples.failed(11), outcome=Outcome.SKIPPED, failure=Failure.MISSED_SLOT, detail="slept"),
        examples.stamp(12, purpose=Purpose.CAMPAIGN),
    ]
    return examples.raw(*made)


def main(folder: Path) -> None:
    """Write the messages of agent, peer and collector."""
    payload = examples.payload(*measurements())
    told = examples.peer_arrival(examples.peer_test(), examples.peer_test(direction=Direction.UP)).payload
    lines = (
        ReceiptLine(epoch=EPOCH, first=1, last=11, status=ReceiptStatus.COMMITTED),
        ReceiptLine(
            epoch=EPOCH, first=12, last=12, status=ReceiptStatus.REJECTED, reason=Reason.INVALID, detail="why"
        ),
    )
    test = PeerReceiptLine(
        session="3c9d1f20-1",
        direction=Direction.DOWN,
        start_us=examples.NOW_US,
        status=ReceiptStatus.COMMITTED,
    )
    known = {"schema": messages.SCHEMA, "payload": messages.digest(payload)}
    written = {
        "envelope": payload,
        "peer-envelope": told,
        "receipt": messages.encode(Receipt(site=SITE, lines=lines, **known)),
        "receipt-refusing": messages.encode(
            Receipt(site=SITE, reason=Reason.MALFORMED, detail="no JSON", **known)
        ),
        "peer-receipt": messages.encode(PeerReceipt(peer="pop-1", lines=(test,), **known)),
    }
    for state in PresenceState:
        written[f"presence-{state}"] = messages.encode(
            Presence(schema=messages.SCHEMA, site=SITE, state=state, agent="0.1.0", since_us=examples.NOW_US)
        )
    for name, message in written.items():
        (folder / f"{name}.json").write_bytes(message)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
