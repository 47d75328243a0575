"""Service: the running collector and its orderly end.

Lives here: the service, the web server, and what keeps views in step with ledger and clock.
May not live here: judging and rendering: the rooms below do that.
Imported by: ``collector.__main__``.
"""
