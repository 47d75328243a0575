"""``plancher-agent run``: replaces this process by the resident agent."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from agent.service.handover import Handover, replace_this_process
from agent.settings.file import peer_key, with_community
from agent.settings.sections import AgentSettings
from host.command_line import version
from host.settings import SettingsError, belonging_to


def main(settings: AgentSettings, path: Path) -> NoReturn:
    """Replace this process by the resident agent. ``path`` is the settings file.

    Raises SettingsError if a file with a secret cannot be used, or if this user may not start Python.
    """
    # Files with secrets are read here: a fault ends this command with its message.
    with belonging_to(path):
        handover = Handover(with_community(settings), peer_key(settings.peer), version())
    try:
        replace_this_process(handover)
    except PermissionError:
        # Root may start this program for another user, from a folder that this user cannot enter.
        python = os.path.realpath(sys.executable)
        raise SettingsError(
            f"{python}: this user may not run it: install with a Python outside /root and /home"
        ) from None
