"""``plancher-agent run``: becomes the resident agent."""

from typing import NoReturn

from agent.handover import Handover, replace_this_process
from agent.settings import AgentSettings, peer_key, with_community
from host.command_line import version


def main(settings: AgentSettings) -> NoReturn:
    """Hand over to the resident agent. Raises SettingsError if a file that holds a secret cannot serve."""
    replace_this_process(Handover(with_community(settings), peer_key(settings.peer), version()))
