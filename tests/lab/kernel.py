"""Fixture for tests over kernel links."""

import pytest

from lab.netns import requirements
from tests.servers import require


@pytest.fixture
def kernel() -> None:
    """Skip the test without root; fail it where CI is true and a program is missing."""
    for program in requirements.PROGRAMS:
        require(program)
    if lacking := requirements.lacking():
        pytest.skip(f"a kernel link needs {'; '.join(lacking)}")
