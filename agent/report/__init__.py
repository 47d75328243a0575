"""Reports for people: one measurement as lines of text. Pure.

Lives here: figures, verdicts and remedies in words.
May not live here: colours, terminals, and whatever needs the running agent.
Imported by: ``agent.commands``, ``agent.service``.
"""
