"""Rule of the STAMP probe. Its section is in :mod:`agent.settings`: other probes go by its classes, too."""

from agent.settings.sections import AgentSettings


def problem(chosen: AgentSettings) -> str | None:
    """The first broken rule in words, or None."""
    stamp = chosen.stamp
    # A longer train would make its task miss every second slot.
    train_s = stamp.packets * stamp.spacing + stamp.timeout
    if (chosen.every_s("stamp") or train_s) < train_s:
        return f"schedule.stamp: shorter than one train of stamp.packets, which takes up to {train_s:g} s"
    return None
