"""Rows: how records stand in tables. Below write, clock and read, and shared by them.

Lives here: keys of names, the layout of a struct in a table, and the rows of a record.
May not live here: transactions and queries of a view.
Imported by: the other rooms of the ledger.
"""
