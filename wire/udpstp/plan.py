"""What a client sets out to do, and the name of the test that comes of it."""

from msgspec import Struct

from wire.records import Algorithm, Direction

Address = tuple[str, int] | tuple[str, int, int, int]


class Search(Struct, frozen=True, kw_only=True):
    """How the server is to search for the capacity (§7.1), instead of sending at a fixed rate.

    ``start_row`` None begins at row 0, as the RFC's default does. ``byte_limit``: the bytes that the test may
    cost the client's line in both directions together, IP layer; it is ended in time to stay below them.
    """

    algorithm: Algorithm = Algorithm.B
    start_row: int | None = None
    byte_limit: int | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """One test. ``secret`` is never shown. ``auth_offset_s`` is the peer's time minus this host's.

    ``row`` is the one to send at, or the highest that a ``search`` may reach. ``ident`` is random and not
    zero (§6.1). ``address`` is the server's control address.
    """

    address: Address
    ident: int
    key_id: int
    secret: bytes
    direction: Direction
    row: int
    duration_s: int
    dscp: int = 0
    auth_offset_s: float = 0.0
    search: Search | None = None

    @property
    def ipv6(self) -> bool:
        """Whether the test runs over IPv6."""
        return len(self.address) == 4

    def __repr__(self) -> str:
        what = f"row {self.row}" if self.search is None else f"search to row {self.row}"
        return f"Plan({self.direction} {what} {self.duration_s} s key {self.key_id})"


def session_id(auth_time: int, ident: int) -> str:
    """The session id both ends write into their records of a test."""
    return f"{auth_time:08x}-{ident:04x}"
