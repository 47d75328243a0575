"""What a server makes of the parameters of a Test Activation Request (RFC 9946 §7.2.1)."""

from msgspec import Struct
from msgspec.structs import replace

from wire.udpstp import pdu
from wire.udpstp.adjustment import is_search


class Limits(Struct, frozen=True):
    """What the server lets a client ask for. ``longest_s``: a longer test is shortened.

    A fixed rate above ``highest_row`` is refused, a search ends its climb there.
    """

    highest_row: int = 1000
    longest_s: int = 60


def coerced(request: pdu.Activation, limits: Limits) -> pdu.Activation:
    """The request with every value this server would not run brought into range (§7.2.1).

    Values outside the reference program's ranges become the defaults; a test of 1 s or more keeps its
    length up to the configured one. ECN bits are cleared (§7.1: Not-ECT), and payloads are not random here.
    The start of a search is brought down to the highest row.
    """
    low, upper = request.low_threshold, request.upper_threshold
    if not (1 <= low <= upper <= 10_000):
        low, upper = 30, 90
    test_s = min(max(request.test_s, 1), limits.longest_s)
    period = request.sub_interval
    starts = is_search(request) and request.row != pdu.SEARCH_INDEX
    return replace(
        request,
        row=min(request.row, limits.highest_row) if starts else request.row,
        low_threshold=low,
        upper_threshold=upper,
        trial_interval=request.trial_interval if 5 <= request.trial_interval <= 250 else 50,
        test_s=test_s,
        dscp_ecn=request.dscp_ecn & 0xFC,
        one_way_variation=min(request.one_way_variation, 1),
        high_speed_delta=request.high_speed_delta or 10,
        slow_adjust_threshold=request.slow_adjust_threshold or 3,
        ignore_reordering=min(request.ignore_reordering, 1),
        modifiers=request.modifiers & pdu.ACTIVATION_START_INDEX,
        algorithm=request.algorithm if request.algorithm <= 1 else 0,
        sub_interval=period if 100 <= period <= min(10_000, test_s * 1000) else min(1000, test_s * 1000),
    )
