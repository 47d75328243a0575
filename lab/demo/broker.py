"""The demo's MQTT broker: amqtt in a process of its own, on loopback, MQTT 3.1.1, nothing kept on disk.

``python -m lab.demo.broker PORT`` serves until SIGTERM or SIGINT. Anybody on this machine is let in; nobody
else can reach it.
"""

import asyncio
import logging
import signal
import sys
import warnings

from host import log

HOST = "127.0.0.1"


def settings(port: int) -> dict[str, object]:
    """What amqtt is to do: one TCP listener on loopback, and of its plugins only the one that admits."""
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }


async def serve(port: int) -> None:
    """Serve until a signal. Raises amqtt's BrokerError when the port is taken."""
    from amqtt.broker import Broker

    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    broker = Broker(settings(port))
    await broker.start()
    await ended.wait()
    await broker.shutdown()


def main() -> None:
    """Run the broker on the port that the command line names."""
    log.start("error")
    # It logs an error for every connection that ends without a word, even one that only asked.
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    asyncio.run(serve(int(sys.argv[1])))


if __name__ == "__main__":
    main()
