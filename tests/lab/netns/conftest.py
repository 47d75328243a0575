"""What links in real namespaces need on this machine, or the reason why their tests are skipped."""

import pytest

from lab.netns import requirements
from tests.servers import require


@pytest.fixture
def kernel() -> None:
    """Skips without root; a missing program is a failure where CI is true."""
    for program in requirements.PROGRAMS:
        require(program)
    if lacking := requirements.lacking():
        pytest.skip(f"a kernel link needs {'; '.join(lacking)}")
