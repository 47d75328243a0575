"""A kernel link: set up on entering a block, always removed on leaving it, and counted in between."""

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
from lab.netns.names import End
from lab.netns.requirements import KernelLinkError
from lab.netns.settings import KernelLineSettings, KernelLinkSettings
from wire.records import Direction

TOOL_S = 10.0


@dataclass(frozen=True, slots=True)
class KernelLineCounters:
    """What became of one direction's packets so far; bytes are IP-layer bytes.

    ``delivered`` has left the queue and includes copies; ``waiting`` is still in it.
    """

    delivered_packets: int
    delivered_bytes: int
    waiting_packets: int
    duplicated_packets: int
    dropped_packets: Counter[DropCause]


class KernelLink:
    """Three namespaces with a line through them; see the package for the picture.

    Entering first removes what processes that are gone left behind. Raises ValueError when built from
    settings that have faults, KernelLinkError on entering when something is lacking or the kernel refuses.
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
            # The router first: with it go the devices, so that a process that stays inside an end is cut off.
            for end in (End.FAR, End.SITE, End.ROUTER):
                tool("ip", "netns", "add", self._names[end])
                entering.callback(remove_namespace, self._names[end])
                self._switch(end)
            self._build(entering)
            self._leaving = entering.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.close()

    def namespace(self, end: End) -> str:
        """The name of a namespace, as ``ip netns`` knows it."""
        return self._names[end]

    def inside(self, end: End, *command: str) -> tuple[str, ...]:
        """The command line that runs ``command`` inside; its /sys/class/net shows that end's devices."""
        return (requirements.path_of("ip"), "netns", "exec", self._names[end], *command)

    def counters(self, direction: Direction) -> KernelLineCounters:
        """What the kernel counted at the router. Raises KernelLinkError when it cannot be asked."""
        router = self._names[End.ROUTER]
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

    def _switch(self, end: End) -> None:
        """Set what the kernel keeps for each namespace; a kernel without IPv6 lacks its files."""
        files = (f"/proc/sys/net/{file}" for file in rules.SWITCHES)
        writes = (
            f"[ ! -e {file} ] || echo {value} > {file}"
            for file, value in zip(files, rules.SWITCHES.values(), strict=True)
        )
        tool(*self.inside(end, "sh", "-ec", "\n".join(writes)))

    def log(self, direction: Direction) -> list[Passage]:
        """When each packet entered and left the link, since the beginning or ``forget_log``.

        Raises KernelLinkError when the log has gaps, a wire has ended, or none is kept (``logged``).
        """
        if self._log is None:
            raise KernelLinkError("this link keeps no log: its settings say so")
        for wire in self._wires.values():
            wire.check()
        return self._log.read(direction)

    def forget_log(self) -> None:
        """Begin the log anew, where one is kept."""
        if self._log is not None:
            self._log.forget()

    def _build(self, entering: contextlib.ExitStack) -> None:
        router = self._names[End.ROUTER]
        for end in places.ADDRESSES:
            tool("ip", "-n", self._names[end], "-batch", "-", told=rules.devices(router, end))
        tool("ip", "-n", router, "-batch", "-", told=rules.router_devices())
        for direction in Direction:
            line = self.settings.line(direction)
            if line.wired:
                self._lay(direction, line, entering)
            tool("tc", "-n", router, *rules.queue(direction, line))
        if self.settings.logged:
            self._log = entering.enter_context(LinkLog(router))
        if fates := rules.fates(self.settings):
            tool(*self.inside(End.ROUTER, requirements.path_of("nft"), "-f", "-"), told=fates)

    def _lay(self, direction: Direction, line: KernelLineSettings, entering: contextlib.ExitStack) -> None:
        router = self._names[End.ROUTER]
        wire = entering.enter_context(Wire(router, places.WIRES[direction], line.wire))
        tool("ip", "-n", router, "-batch", "-", told=rules.wire(direction))
        wire.start()
        self._wires[direction] = wire

    def _fates(self, direction: Direction) -> tuple[int, int]:
        """Packets lost and duplicated at random."""
        if not rules.fates(self.settings):
            return 0, 0
        nft = requirements.path_of("nft")
        listed = json.loads(tool(*self.inside(End.ROUTER, nft, "-j", "list", "ruleset")))["nftables"]
        ours = [item["rule"] for item in listed if item.get("rule", {}).get("comment") == direction]
        return _packets(ours, "inet"), _packets(ours, "netdev")


def remove_stale() -> list[str]:
    """Remove the namespaces of creators that have ended, and return their names. Raises KernelLinkError."""
    found = names.stale(names.present())
    for name in found:
        remove_namespace(name)
    return found


def _packets(rules_found: list[dict[str, Any]], family: str) -> int:
    parts = [part for rule in rules_found if rule["family"] == family for part in rule["expr"]]
    return sum(part["counter"]["packets"] for part in parts if "counter" in part)


def remove_namespace(name: str) -> None:
    """Remove one; another start may be removing the same stale one: gone is gone. Raises KernelLinkError."""
    try:
        tool("ip", "netns", "delete", name)
    except KernelLinkError:
        if name in names.present():
            raise


def tool(program: str, *arguments: str, told: str = "") -> str:
    """Run one of the programs and return its output. Raises KernelLinkError with what it said."""
    path = requirements.path_of(program) if program in requirements.PROGRAMS else program
    try:
        ended = subprocess.run(  # noqa: S603 -- our own arguments, no shell
            (path, *arguments), input=told, capture_output=True, text=True, timeout=TOOL_S
        )
    except subprocess.TimeoutExpired:
        raise KernelLinkError(f"{program} did not end within {TOOL_S:g} s") from None
    if ended.returncode:
        said = " ".join(ended.stderr.split()) or f"status {ended.returncode}"
        raise KernelLinkError(f"{program} {' '.join(arguments[:4])} ...: {said}")
    return ended.stdout
