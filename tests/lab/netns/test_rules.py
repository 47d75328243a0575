from lab.netns import rules
from lab.netns.settings import KernelLineSettings, KernelLinkSettings, WirePlace
from wire.records import Direction


def test_a_line_without_bottleneck_only_counts() -> None:
    assert " ".join(rules.queue(Direction.UP, KernelLineSettings())) == (
        "qdisc replace dev far root handle 1: stab overhead -14 linklayer ethernet bfifo limit 67108864"
    )


def test_the_shaper_counts_ip_bytes_at_the_device_towards_the_receiver() -> None:
    line = KernelLineSettings(rate=8_400_000, queue=105_000)
    assert " ".join(rules.queue(Direction.DOWN, line)) == (
        "qdisc replace dev site root handle 1: stab overhead -14 linklayer ethernet "
        "tbf rate 8400000bit burst 5000 limit 105000"
    )


def test_a_shaper_before_a_wire_is_on_the_device_of_the_wire() -> None:
    line = KernelLineSettings(rate=8_400_000, queue=105_000, delay=1, wire_place=WirePlace.AFTER_QUEUE)
    assert " ".join(rules.queue(Direction.UP, line)) == (
        "qdisc replace dev wire-up root handle 1: tbf rate 8400000bit burst 5000 limit 105000"
    )


def test_packets_of_a_direction_are_routed_into_its_wire() -> None:
    assert rules.wire(Direction.UP).splitlines() == [
        "link set wire-up mtu 1500 txqueuelen 10000 up",
        "route add default dev wire-up table 102",
        "rule add iif site lookup 102",
    ]


def test_a_link_without_loss_and_duplication_has_no_rules() -> None:
    assert rules.fates(KernelLinkSettings()) == ""


def test_loss_is_at_the_entry_and_duplication_at_the_exit() -> None:
    settings = KernelLinkSettings(KernelLineSettings(loss=0.02), KernelLineSettings(duplication=0.001))
    assert rules.fates(settings) == (
        "table netdev duplication_up {\n  chain leaving {\n"
        '    type filter hook egress device "far" priority 0; policy accept;\n'
        '    meta protocol ip numgen random mod 1000000 < 1000 counter dup to "far" comment "up"\n  }\n}\n'
        "table inet loss {\n  chain arriving {\n"
        "    type filter hook prerouting priority 0; policy accept;\n"
        '    iifname "far" numgen random mod 1000000 < 20000 counter drop comment "down"\n  }\n}\n'
    )
