"""Pages: one module a page, its template, and texts in English and French.

Lives here: what people read in a browser, from live state and ledger rows to HTML.
May not live here: HTTP (``collector.service.http``) and SQL.
Imported by: ``collector.service``; ``collector.__main__`` for the account of a ledger.
"""
