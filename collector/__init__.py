"""The collector: MQTT to ledger to receipts, and the ledger's views (metrics, pages).

May live here: everything that happens to a measurement after it left the site, and nothing that measures.
"""
