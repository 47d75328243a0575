from peer.refusals import EVERY_NS, LineLimit, Refusals


def test_the_first_is_logged_at_once_and_the_others_once_a_minute() -> None:
    refusals = Refusals("set-ups")
    assert refusals.line(0) is None
    refusals.note("wrong-key", 3)
    assert refusals.line(0) == (
        "set-ups not served: 1 wrong-key (key id 3) (1 since the start): "
        "compare the secrets of these key ids at both ends"
    )
    for number in range(1000):
        refusals.note("wrong-key", number % 12)
    refusals.note("bandwidth", count=5)
    assert refusals.line(EVERY_NS - 1) is None
    line = refusals.line(EVERY_NS)
    assert line is not None
    assert line.startswith(
        "set-ups not served: 1000 wrong-key (key id 0, 1, 2, 3, 4, 5, 6, 7), 5 bandwidth (1006 since"
    )
    assert refusals.line(3 * EVERY_NS) is None, "nothing new"
    assert refusals.counts == {"wrong-key": 1001, "bandwidth": 5}


def test_lines_of_one_kind_are_bounded() -> None:
    limit = LineLimit(3)
    allowed = [now for now in range(0, 2 * EVERY_NS, EVERY_NS // 10) if limit.allows(now)]
    assert allowed == [number * EVERY_NS // 10 for number in (0, 1, 2, 10, 11, 12)]
