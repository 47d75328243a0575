"""Delivery: decisions on what is sent when, and on what a receipt means. The whole room is pure.

Lives here: ``delivery`` with the rules and their tables, also that of batches rejected whole. Its parts are
  batches in flight (``in_flight``), rows that travel apart (``apart``), and pauses (``pace``).
May not live here: I/O, a clock, asyncio. Moments come in as seconds on a clock that never steps.
Imported by: ``outbox.publisher``; programs import ``pace``, and tests and the lab all of it.
"""
