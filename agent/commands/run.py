"""``plancher-agent run``: becomes the resident agent."""

from typing import NoReturn

from agent.handover import Handover, replace_this_process
from agent.settings import AgentSettings, peer_key
from host.command_line import version


def main(settings: AgentSettings) -> NoReturn:
    """Hand over to the resident agent. Raises SettingsError if the peer's key cannot be read."""
    replace_this_process(Handover(settings, peer_key(settings.peer), version()))
