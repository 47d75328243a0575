"""Flood of one site beside others, through a real broker into the real program."""

import itertools
import threading
import time
from contextlib import ExitStack
from dataclasses import replace

import paho.mqtt.client as paho
import pytest

from tests.collector.agents import Agent
from tests.collector.examples import SITE, payload, stamp
from tests.collector.service.running import Collector, now_clock
from tests.processes import wait_until
from wire.messages import envelope as messages
from wire.messages.envelope import Presence, PresenceState
from wire.messages.topics import Kind, topic

OTHERS = [f"other-{number}" for number in range(30)]


def presences() -> list[bytes]:
    made = [
        Presence(schema=1, sender=SITE, state=state, program="0.1.0", since_us=1) for state in PresenceState
    ]
    return [messages.encode(one) for one in made]


class Flood(threading.Thread):
    """Publishes at a rate in bit/s until stopped; ``sent`` counts bytes."""

    def __init__(self, port: int, place: str, bodies: list[bytes], rate: int) -> None:
        super().__init__()
        self.port, self.place, self.bodies, self.rate = port, place, bodies, rate
        self.sent = 0
        self.stopped = threading.Event()

    def run(self) -> None:
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="flood")
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        began = time.monotonic()
        for body in itertools.cycle(self.bodies):
            if self.stopped.wait(max(0.0, began + self.sent * 8 / self.rate - time.monotonic())):
                break
            client.publish(self.place, body)
            self.sent += len(body)
        client.disconnect()
        client.loop_stop()


# Results come fast enough to fill the queue, which is small here.
@pytest.mark.parametrize(("kind", "rate"), [(Kind.PRESENCE, 1_200_000), (Kind.RESULTS, 4_000_000)])
def test_a_flood_of_one_site_costs_the_others_no_batch(collector: Collector, kind: Kind, rate: int) -> None:
    bodies = presences() if kind is Kind.PRESENCE else [b"{" * 200]
    attack = Flood(collector.broker, topic(SITE, kind), bodies, rate)
    collector = replace(collector, queue=100)
    with collector.run(), ExitStack() as open_sites:
        sites = [open_sites.enter_context(Agent(collector.broker, site)) for site in OTHERS]
        wait_until(lambda: collector.metric("qos_collector_receiving") == 1, "the start is over")
        attack.start()
        try:
            wait_until(lambda: attack.sent > rate // 4, "two seconds of the flood were sent")
            for site in sites:
                site.publish(payload(stamp(1, start=now_clock(1_000_000)), sent=now_clock(), site=site.site))
            wait_until(lambda: all(site.receipts for site in sites), "a receipt for each of the others")
        finally:
            attack.stopped.set()
            attack.join()
        assert {line.status for site in sites for line in site.lines()} == {"committed"}
        assert collector.metric('qos_collector_refused_messages_total{reason="full"}') == 0
        assert collector.metric("qos_collector_receiving") == 1
