"""Command ``plancher-lab link``: one emulated link, run by hand or by the demo."""

import argparse
import errno
import gc
import ipaddress
import signal
from collections.abc import Callable
from pathlib import Path

from host.command_line import reader
from host.exits import Exit
from lab.links.interface_counters import InterfaceCounters
from lab.links.line import EmulatedLineCounters, LineSettings, LossPlace
from lab.links.link import EmulatedLink, LinkReport, LinkSettings, encode_report
from lab.links.options import add_line_options, line_values

Say = Callable[[str], None]

DESCRIPTION = """\
Emulate a site's line to the measurement peer, without root. The link has a loopback address of its own. An
agent that measures against this address instead of the peer's measures through the emulated line. Test ports
of RFC 9946 are relayed too. One value is for both directions; DOWN,UP gives each its own."""
EXAMPLE = """\
example: a line of 8.4 Mbit/s in each direction in front of a peer on this machine
  plancher-lab link --listen 127.0.1.5 --ports 24601,8862 --down 8.4M --up 8.4M --delay 10ms --loss 1%,0"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``link`` to a parser."""
    parser.description, parser.epilog = DESCRIPTION, EXAMPLE
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    address = reader(_address)
    add(
        "--listen",
        required=True,
        type=address,
        metavar="ADDRESS",
        help="the link's own address, in 127.0.0.0/8",
    )
    add("--peer", type=address, default="127.0.0.1", metavar="ADDRESS",
        help="address of the peer (default: %(default)s)")  # fmt: skip
    add("--ports", type=reader(_ports), default=(24601, 8862), metavar="PORT,...",
        help="the peer's well-known ports: RFC 9946 control, STAMP (default: 24601,8862)")  # fmt: skip
    add_line_options(parser, notes={})
    add("--loss-place", type=LossPlace, choices=list(LossPlace), default=LossPlace.BEFORE_QUEUE,
        help="lose packets before or after the bottleneck (default: %(default)s)")  # fmt: skip
    add(
        "--dscp",
        type=reader(_rewrites),
        default={},
        metavar="FROM:TO,...",
        help="rewrite code points, e.g. 46:0",
    )
    add("--counters", type=Path, metavar="DIRECTORY",
        help="directory of line counters, laid out as /sys/class/net/<interface>/statistics")  # fmt: skip
    add("--json", action="store_true", help="print the closing report as one line of JSON")


def settings_from(options: argparse.Namespace) -> LinkSettings:
    """Build a link's settings from parsed options."""
    down, up = (_line(options, direction) for direction in (0, 1))
    return LinkSettings(options.listen, options.peer, options.ports, down, up)


def run(options: argparse.Namespace, say: Say, complain: Say) -> Exit:
    """Relay until interrupted, then print a report with ``say``; errors go to ``complain``."""
    settings = settings_from(options)
    if faults := settings.faults():
        complain(f"configuration: {'; '.join(faults)}")
        return Exit.USAGE
    try:
        counters = InterfaceCounters(options.counters)
    except OSError as error:
        complain(f"configuration: cannot write counters into {options.counters}: {error.strerror}")
        return Exit.CANNOT_CREATE
    with counters:
        try:
            link = EmulatedLink(settings, counters)
        except OSError as error:
            complain(_explain(error, settings))
            return Exit.UNAVAILABLE
        _relay(link, settings, say)
    report = link.report()
    say(encode_report(report) if options.json else describe(report))
    return Exit.OK


def describe(report: LinkReport) -> str:
    """Return the report as text."""
    lines = [_describe_line("down", report.down), _describe_line("up", report.up)]
    for name, lost in (("down", report.down_lost), ("up", report.up_lost)):
        troubles = {
            "refused by the kernel": lost.unsent,
            "lost in full socket buffers: the link read too slowly": lost.overflowed,
            "dropped: too many packets in the link": lost.crowded,
        }
        lines += [f"{name:4} {count} {what}" for what, count in troubles.items() if count]
    if report.stray:
        lines.append(f"{report.stray} datagrams from unknown ports of the peer")
    if report.late_p50 is not None and report.late_p99 is not None:
        lines.append(
            f"releases late by: p50 {report.late_p50 / 1e3:.0f} us, p99 {report.late_p99 / 1e3:.0f} us, "
            f"largest {report.late_largest / 1e3:.0f} us"
        )
    lines.append(f"{report.seconds:.1f} s, {report.cpu_seconds / max(report.seconds, 1e-9):.1%} of a core")
    return "\n".join(lines)


def _describe_line(name: str, counters: EmulatedLineCounters) -> str:
    dropped = "".join(f", {count} {cause}" for cause, count in sorted(counters.dropped_packets.items()))
    duplicated = f", {counters.duplicated_packets} duplicated" if counters.duplicated_packets else ""
    return (
        f"{name:4} {counters.offered_packets} packets ({counters.offered_bytes} B) in, "
        f"{counters.delivered_packets} ({counters.delivered_bytes} B) out{dropped}{duplicated}"
    )


def _relay(link: EmulatedLink, settings: LinkSettings, say: Say) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: link.stop())
    # Objects of the start-up live until the end; a full collection over them would delay packets by
    # milliseconds.
    gc.collect()
    gc.freeze()
    ports = ", ".join(map(str, settings.ports))
    say(f"link {settings.listen} <-> {settings.peer}, ports {ports}: relaying; Ctrl-C ends it")
    try:
        link.run()
    finally:
        link.close()


def _explain(error: OSError, settings: LinkSettings) -> str:
    where = f"{settings.listen}, ports {', '.join(map(str, settings.ports))}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"configuration: cannot listen on {where}: in use. Choose another --listen address. If a peer "
            f"listens on all addresses of this machine, let it listen on {settings.peer} only."
        )
    return f"configuration: cannot listen on {where}: {error.strerror}"


def _line(options: argparse.Namespace, direction: int) -> LineSettings:
    return LineSettings(
        **line_values(options, direction), loss_place=options.loss_place, dscp_rewrite=options.dscp
    )


def _address(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise ValueError(f"expected an IPv4 address such as 127.0.1.5, got {text!r}") from None


def _ports(text: str) -> tuple[int, ...]:
    ports = text.split(",")
    if not all(port.isascii() and port.isdigit() for port in ports):
        raise ValueError(f"expected ports such as 24601,8862, got {text!r}")
    return tuple(map(int, ports))


def _rewrites(text: str) -> dict[int, int]:
    pairs = [pair.split(":") for pair in text.split(",")]
    if not all(len(pair) == 2 and all(part.isascii() and part.isdigit() for part in pair) for pair in pairs):
        raise ValueError(f"expected pairs of code points such as 46:0,10:8, got {text!r}")
    return {int(before): int(after) for before, after in pairs}
