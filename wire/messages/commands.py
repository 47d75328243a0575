"""Commands from a collector to an agent: a closed enumeration, never anything to be executed.

Commands are not retained and not acknowledged by themselves: the collector repeats one until the agent's
envelopes name its id in ``obeyed``. Decoders return a :class:`Fault`, as those of ``wire.messages.envelope``.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from wire.messages.envelope import EpochRange, Fault, Reason, Schema, decode_bounded
from wire.records import Micros, Name, SiteId

MAX_RANGES = 500


class Resend(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="command", tag="resend"):
    """Send again the records of ``ranges``, which the ledger lacks; a restored ledger asks so.

    Without ranges, as older collectors ask: what receipts named since ``since_us``, by the agent's own
    synchronised clock, or while that clock was not synchronised. Agents that know no ranges go by it always.
    """

    id: Name
    since_us: Micros
    ranges: Annotated[tuple[EpochRange, ...], Meta(max_length=MAX_RANGES)] = ()


class CommandMessage(Struct, frozen=True, kw_only=True):
    """One command to one site."""

    schema: Schema
    site: SiteId
    command: Resend


_DECODER = msgspec.json.Decoder(CommandMessage)


def decode(payload: bytes, site: str) -> CommandMessage | Fault:
    """Decode what came on ``site``'s topic of commands: bounded, validated, and really for that site."""
    message = decode_bounded(payload, _DECODER)
    if isinstance(message, Fault):
        return message
    if message.site != site:
        return Fault(Reason.WRONG_SENDER, f"says {message.site} on the topic of {site}")
    return message
