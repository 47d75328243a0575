"""Position of a schedule's slots on the wall clock."""

import hashlib


def offset_us(site: str, interval_us: int) -> int:
    """Offset of this site's slots within the interval: whole seconds, the same after every restart.

    It is a hash of the site's id, which spreads a fleet over the interval without any coordination.
    """
    spread = int.from_bytes(hashlib.sha256(site.encode()).digest()[:8])
    # Whole seconds, so that a slot has the same wall time in every record.
    return spread % interval_us // 1_000_000 * 1_000_000
