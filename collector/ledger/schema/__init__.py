"""Schema: the ledger's tables. Typed columns are the evidence; what repeats is a key into a small table.

Lives here: the tables, the layout of a struct in a table, and the rows of a record's values.
May not live here: queries and transactions.
Imported by: the other rooms of the ledger.
"""
