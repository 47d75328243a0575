"""Counters of the line on the router, read by SNMP (IF-MIB, RFC 2863), of 64 or of 32 bits."""

import asyncio
import time

from agent.line.readings import CounterReading, Unavailable
from agent.settings.sections import SnmpSettings
from net.snmp import NoAnswer, SnmpAgent
from wire import records
from wire.snmp import interface_mib
from wire.snmp.continued_counters import ContinuedCounters
from wire.snmp.interface_mib import (
    LOOPBACK,
    REPETITIONS,
    CounterBits,
    InterfaceSearch,
    InterfaceState,
    Unreadable,
)

# A router has no newer counters before (decision 11).
LEAST_INTERVAL_S = 10.0
LAG_S = 5.0  # net-snmp answers with counters up to 3 s old; other routers are no better


class SnmpSource:
    """Interface of a router. It is searched for while its number is not known, or belongs to another one."""

    kind = records.LineCounters.SNMP
    least_interval_s = LEAST_INTERVAL_S
    lag_s = LAG_S

    def __init__(self, chosen: SnmpSettings, community: str) -> None:
        self.interface = str(chosen.interface)
        self._wanted = chosen.interface
        self._router = f"router {chosen.host}"
        self._frame_bytes = chosen.frame_bytes
        self._agent = SnmpAgent(chosen.host, chosen.port, community, float(chosen.timeout))
        self._index: int | None = None
        self._bits = CounterBits()
        self._counters = ContinuedCounters()
        # A probe and a test may ask at the same time; the search for the interface must run once.
        self._asking = asyncio.Lock()

    def read(self) -> CounterReading | Unavailable:
        """Return the reason: always unavailable, since a router's counters are some seconds old."""
        return Unavailable("the router's counters (SNMP) are seconds old: too old to follow a test")

    async def ask(self) -> CounterReading | Unavailable:
        """Get the router's newest counters. The first time this searches for the interface."""
        async with self._asking:
            known = self._index is not None
            state = await self._state()
            # Its number now belongs to another interface: the name is searched once, at once.
            if known and self._index is None:
                state = await self._state()
            # net-snmp gives bytes before it has packets, for some seconds after its start.
            if isinstance(state, InterfaceState) and state.half_initialised:
                await asyncio.sleep(LAG_S)
                state = await self._state()
        if isinstance(state, InterfaceState):
            return self._reading(state)
        return Unavailable(f"line_counters.snmp: {self._router}: {state.detail}")

    async def _state(self) -> InterfaceState | Unreadable | NoAnswer:
        """Ask for the interface's state; forget its number if that belongs to another interface now."""
        index = await self._number()
        if not isinstance(index, int):
            return index
        state = await self._of(index)
        renamed = isinstance(state, InterfaceState) and self._counters.name not in (None, state.name)
        if renamed or (isinstance(state, Unreadable) and state.gone):
            self._index, self._bits = None, CounterBits()
            self._counters.forget()
            return Unreadable(f"interface {index} is another one now", gone=True) if renamed else state
        return state

    async def _of(self, index: int) -> InterfaceState | Unreadable | NoAnswer:
        """State of the interface, by the largest counters that the router has, and counts with."""
        state = await self._with(index, self._bits)
        # Some agents have 64-bit counters that never count.
        if isinstance(state, InterfaceState) and not state.received_octets + state.sent_octets:
            narrow = await self._with(index, CounterBits(32, 32))
            if isinstance(narrow, InterfaceState) and narrow.received_octets + narrow.sent_octets:
                state = narrow
        if isinstance(state, InterfaceState):
            self._bits = state.bits
        return state

    async def _with(self, index: int, bits: CounterBits) -> InterfaceState | Unreadable | NoAnswer:
        """State by counters of this size, or by smaller ones where these are missing."""
        while True:
            answer = await self._agent.get(interface_mib.question(index, bits))
            if isinstance(answer, NoAnswer):
                return answer
            state = interface_mib.state(answer.bindings, index, bits)
            if not isinstance(state, Unreadable) or state.narrower is None:
                return state
            bits = state.narrower

    async def _number(self) -> int | Unreadable | NoAnswer:
        if self._index is None:
            found = self._wanted if isinstance(self._wanted, int) else await self._search(self._wanted)
            if not isinstance(found, int):
                return found
            self._index = found
        return self._index

    async def _search(self, name: str) -> int | Unreadable | NoAnswer:
        search = InterfaceSearch(name)
        while search.found is None:
            answer = await self._agent.get_bulk(search.after, REPETITIONS)
            if isinstance(answer, NoAnswer):
                hint = (
                    "" if answer.silent else ": it lists no interfaces, so give the number (ifIndex) of one"
                )
                return NoAnswer(answer.detail + hint, answer.silent)
            search.take(answer.bindings)
        return search.found

    def _reading(self, state: InterfaceState) -> CounterReading | Unavailable:
        if state.kind == LOOPBACK:
            return Unavailable(
                f"line_counters.snmp.interface: {state.name} of the {self._router} is a loopback"
            )
        frame_bytes = state.frame_bytes if self._frame_bytes is None else self._frame_bytes
        if frame_bytes is None:
            place = f"line_counters.snmp: {state.name} of the {self._router}"
            return Unavailable(
                f"{place} is no Ethernet (ifType {state.kind}):"
                " set frame_bytes to what it counts of each packet beyond the IP layer"
            )
        if state.half_initialised:
            return Unavailable(f"line_counters.snmp: {state.name} of the {self._router} counts no packets")
        state = self._counters.take(state, time.monotonic())
        return CounterReading(
            state.received_octets,
            state.received_packets,
            state.sent_octets,
            state.sent_packets,
            received_errors=state.received_errors,
            received_drops=state.received_discards,
            sent_errors=state.sent_errors,
            sent_drops=state.sent_discards,
            carrier=state.up,
            speed_bps=state.speed_bps,
            frame_bytes=frame_bytes,
            generation=self._counters.resets,
        )
