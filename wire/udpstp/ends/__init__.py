"""Ends of a load: sending, receiving and counting Load PDUs, the same on client and server (RFC 9946 §8).

Lives here: the schedule of packets, the sender and the receiver of a load, the control of its rate, batches
  of datagrams, the watchdog, and the series that a load leaves behind.
May not live here: set-up and activation of a test, and anything that only one of the two roles does.
Imported by: ``wire.udpstp``; ``net.load`` for the tempo; tests.
"""
