"""Accounts of a run: what was journalled, what the ledger holds of it, what was declared lost.

Lives here: the account (pure), a site's notes, and reading both from files.
May not live here: faults, and processes.
Imported by: every other room of ``lab.faults``.
"""
