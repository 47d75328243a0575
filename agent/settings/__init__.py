"""Settings of the agent: ``agent.yaml``.

Lives here: the sections as structs, the rules between them, hours of the week, and the reader of the file and
  its secrets.
May not live here: defaults that depend on a machine.
Imported by: every room of the agent that is configured; it imports none of them.
"""
