"""Administration of a ledger: backup, restore and verification.

Lives here: what an operator does to a ledger by command.
May not live here: what the running collector does.
Imported by: ``collector.__main__``.
"""
