"""Collector: MQTT to ledger to receipts, and the views of the ledger.

Lives here: the program of the operator, in rooms of one subject each.
May not live here: formats that agent or peer must know too (``wire``).
Imported by: ``lab`` and tests only.
"""
