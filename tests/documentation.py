"""What a page of the documentation holds for machines: commands (``sh``) and settings (``yaml``)."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def commands(page: Path) -> list[str]:
    """Every command, in the order of the page."""
    return [line for block in blocks(page, "sh") for line in block.splitlines()]


def blocks(page: Path, language: str) -> list[str]:
    """The text of each fenced block in ``language``."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
