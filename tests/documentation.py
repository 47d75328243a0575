"""Commands (``sh``) and settings (``yaml``) of a page of the documentation."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def commands(page: Path) -> list[str]:
    """Return all commands of a page, in order."""
    return [line for block in blocks(page, "sh") for line in block.splitlines()]


def blocks(page: Path, language: str) -> list[str]:
    """Return the text of each fenced block in ``language``."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
