"""Kernel link: set up on entering a block, removed on leaving it, with packet counters in between."""

import contextlib
import json
import subprocess
from collections import Counter
from dataclasses import dataclass
from typing import Any, Self

from lab.links.line import DropCause
from lab.netns import names, places, requirements, rules
from lab.netns.links.link_log import LinkLog
from lab.netns.links.passages import Passage
from lab.netns.links.wire import Wire
from lab.netns.names import LinkNode
from lab.netns.requirements import KernelLinkError
from lab.netns.settings import KernelLineSettings, KernelLinkSettings
from wire.records import Direction

TOOL_S = 10.0


@dataclass(frozen=True, slots=True)
class KernelLineCounters:
    """Packet counters of one direction; bytes are IP-layer bytes.

    ``delivered``: packets that have left the queue, copies included. ``waiting``: packets still in the queue.
    """

    delivered_packets: int
    delivered_bytes: int
    waiting_packets: int
    duplicated_packets: int
    dropped_packets: Counter[DropCause]


class KernelLink:
    """Three namespaces with a line between them; see the package for a picture.

    Entering first removes namespaces whose creator has ended. Raises ValueError for invalid settings, and
    KernelLinkError on entering when something is missing or the kernel refuses.
    """

    def __init__(self, settings: KernelLinkSettings) -> None:
        if faults := settings.faults():
            raise ValueError("; ".join(faults))
        self.settings = settings
        self._names = names.fresh()
        self._wires: dict[Direction, Wire] = {}
        self._log: LinkLog | None = None
        self._leaving = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if lacking := requirements.lacking():
            raise KernelLinkError(f"a kernel link needs {'; '.join(lacking)}")
        remove_stale()
        with contextlib.ExitStack() as entering:
            # The router is removed first, and the devices with it: a process left inside an end is then cut
            # off.
            for end in (LinkNode.FAR, LinkNode.SITE, LinkNode.ROUTER):
                tool("ip", "netns", "add", self._names[end])
                entering.callback(remove_namespace, self._names[end])
                self._switch(end)
            self._build(entering)
            self._leaving = entering.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.close()

    def namespace(self, end: LinkNode) -> str:
        """Return the name of a namespace, as ``ip netns`` uses it."""
        return self._names[end]

    def inside(self, end: LinkNode, *command: str) -> tuple[str, ...]:
        """Return the command line that runs ``command`` in a namespace, with that namespace's
        /sys/class/net.
        """
        return (requirements.path_of("ip"), "netns", "exec", self._names[end], *command)

    def counters(self, direction: Direction) -> KernelLineCounters:
        """Return the kernel's counters at the router. Raises KernelLinkError."""
        router = self._names[LinkNode.ROUTER]
        line = self.settings.line(direction)
        device = rules.queue_device(direction, line)
        queue = json.loads(tool("tc", "-n", router, "-s", "-j", "qdisc", "show", "dev", device))[0]
        lost, duplicated = self._fates(direction)
        refused = DropCause.POLICED if line.policer else DropCause.QUEUE_FULL
        dropped = {refused: queue["drops"], DropCause.LOSS: lost}
        return KernelLineCounters(
            delivered_packets=queue["packets"],
            delivered_bytes=queue["bytes"],
            waiting_packets=queue["qlen"],
            duplicated_packets=duplicated,
            dropped_packets=Counter({cause: count for cause, count in dropped.items() if count}),
        )

    def _switch(self, end: LinkNode) -> None:
        # A kernel without IPv6 lacks its files.
        files = (f"/proc/sys/net/{file}" for file in rules.SWITCHES)
        writes = (
            f"[ ! -e {file} ] || echo {value} > {file}"
            for file, value in zip(files, rules.SWITCHES.values(), strict=True)
        )
        tool(*self.inside(end, "sh", "-ec", "\n".join(writes)))

    def log(self, direction: Direction) -> list[Passage]:
        """Return each packet's times of entry and exit since the beginning or the last ``forget_log``.

        Raises KernelLinkError when the log has gaps, a wire has ended, or the settings ask for no log
        (``logged``).
        """
        if self._log is None:
            raise KernelLinkError("this link has no log: set logged=True in its settings")
        for wire in self._wires.values():
            wire.check()
        return self._log.read(direction)

    def forget_log(self) -> None:
        """Clear the log, where there is one."""
        if self._log is not None:
            self._log.forget()

    def _build(self, entering: contextlib.ExitStack) -> None:
        router = self._names[LinkNode.ROUTER]
        for end in places.ADDRESSES:
            tool("ip", "-n", self._names[end], "-batch", "-", stdin=rules.devices(router, end))
        tool("ip", "-n", router, "-batch", "-", stdin=rules.router_devices())
        for direction in Direction:
            line = self.settings.line(direction)
            if line.wired:
                self._lay(direction, line, entering)
            tool("tc", "-n", router, *rules.queue(direction, line))
        if self.settings.logged:
            self._log = entering.enter_context(LinkLog(router))
        if fates := rules.fates(self.settings):
            tool(*self.inside(LinkNode.ROUTER, requirements.path_of("nft"), "-f", "-"), stdin=fates)

    def _lay(self, direction: Direction, line: KernelLineSettings, entering: contextlib.ExitStack) -> None:
        router = self._names[LinkNode.ROUTER]
        wire = entering.enter_context(Wire(router, places.WIRES[direction], line.wire))
        tool("ip", "-n", router, "-batch", "-", stdin=rules.wire(direction))
        wire.start()
        self._wires[direction] = wire

    def _fates(self, direction: Direction) -> tuple[int, int]:
        """Return the numbers of packets lost and duplicated at random."""
        if not rules.fates(self.settings):
            return 0, 0
        nft = requirements.path_of("nft")
        listed = json.loads(tool(*self.inside(LinkNode.ROUTER, nft, "-j", "list", "ruleset")))["nftables"]
        ours = [item["rule"] for item in listed if item.get("rule", {}).get("comment") == direction]
        return _packets(ours, "inet"), _packets(ours, "netdev")


def remove_stale() -> list[str]:
    """Remove the namespaces whose creator has ended, and return their names. Raises KernelLinkError."""
    found = names.stale(names.present())
    for name in found:
        remove_namespace(name)
    return found


def _packets(rules_found: list[dict[str, Any]], family: str) -> int:
    parts = [part for rule in rules_found if rule["family"] == family for part in rule["expr"]]
    return sum(part["counter"]["packets"] for part in parts if "counter" in part)


def remove_namespace(name: str) -> None:
    """Remove a namespace. Raises KernelLinkError if it still exists afterwards."""
    try:
        tool("ip", "netns", "delete", name)
    except KernelLinkError:
        # Another process may have removed the same stale namespace.
        if name in names.present():
            raise


def tool(program: str, *arguments: str, stdin: str = "") -> str:
    """Run a program and return its output. Raises KernelLinkError with the program's error message."""
    path = requirements.path_of(program) if program in requirements.PROGRAMS else program
    try:
        ended = subprocess.run(  # noqa: S603 -- our own arguments, no shell
            (path, *arguments), input=stdin, capture_output=True, text=True, timeout=TOOL_S
        )
    except subprocess.TimeoutExpired:
        raise KernelLinkError(f"{program} did not end within {TOOL_S:g} s") from None
    if ended.returncode:
        error = " ".join(ended.stderr.split()) or f"status {ended.returncode}"
        raise KernelLinkError(f"{program} {' '.join(arguments[:4])} ...: {error}")
    return ended.stdout
