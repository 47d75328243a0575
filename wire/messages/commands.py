"""Commands from a collector to an agent: a closed enumeration, never anything to be executed.

Commands are not retained and not acknowledged by themselves: the collector repeats one until the agent's
envelopes name its id in ``obeyed``. Decoders return a :class:`Fault`, as those of ``wire.messages.envelope``.
"""

import msgspec
from msgspec import Struct

from wire.messages.envelope import Fault, Reason, Schema, decode_bounded
from wire.records import Micros, Name, SiteId


class Resend(Struct, frozen=True, kw_only=True, tag_field="command", tag="resend"):
    """Send again what receipts named since ``since_us``, by the agent's own synchronised clock.

    What they named while that clock was not synchronised is sent again, too. A ledger that was restored from
    a backup asks so.
    """

    id: Name
    since_us: Micros


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
