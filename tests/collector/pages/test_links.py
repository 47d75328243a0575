"""Links between pages: relative, so that they work below a proxy's path (case B14)."""

import re
from pathlib import Path

import pytest

import collector.pages

TEMPLATES = sorted((Path(collector.pages.__file__).parent / "templates").glob("*.html"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_link_begins_at_the_root_of_the_server(template: Path) -> None:
    assert not re.findall(r"""(?:href|src|action)\s*=\s*["']?/""", template.read_text(encoding="utf-8"))
