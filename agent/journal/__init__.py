"""The agent's durable record: what was measured stands here until the collector has said that it has it.

May live here: the journal, its file, its pages and tables, what is saved of a broken one, and the thread that
it runs in. May not: what sends it (``agent.uplink.uplink``), and what a measurement means.
"""
