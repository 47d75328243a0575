"""Attacks: ``make test-hostile`` floods, starves and forges against the real programs, beside good sites.

Lives here: the attackers, the good sites beside them, and what counts how these were served. One module an
  attack: ``peer`` has those against the measurement peer.
May not live here: what breaks programs without malice (``lab.faults``), emulated links (``lab.netns``).
Imported by: ``make`` and tests.

Each attack is seeded, bounded in rate and time, and stays on loopback. To add one: a module with
``run(effort, tell) -> bool``, an entry in ``attacks.ATTACKS``, and a test that runs its short form.
"""
