"""MQTT broker of the demo: amqtt in a process of its own, on loopback, MQTT 3.1.1, without any file.

``python -m lab.demo.broker PORT`` serves until SIGTERM or SIGINT. Every client on this machine is accepted;
no other machine can reach it.
"""

import asyncio
import logging
import signal
import sys
import warnings

from host import log

HOST = "127.0.0.1"


def settings(port: int) -> dict[str, object]:
    """Return amqtt's settings: one TCP listener on loopback, and only the plugin that accepts clients."""
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
    """Run the broker on the port of the command line."""
    log.start("error")
    # amqtt logs an error for every connection closed without an MQTT packet; the readiness check is one.
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    asyncio.run(serve(int(sys.argv[1])))


if __name__ == "__main__":
    main()
