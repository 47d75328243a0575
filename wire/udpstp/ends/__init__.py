"""Ends of a load: sending, receiving and counting Load PDUs, the same on client and server (RFC 9946 §8).

Lives here: schedule, sender, receiver and rate control of a load, batches of datagrams, the watchdog, and
  the series of packets sent and received.
May not live here: set-up and activation of a test, and anything that only one of the two roles does.
Imported by: ``wire.udpstp``; ``net.load`` for the tempo; tests.
"""
