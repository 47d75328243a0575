"""What tests of several packages ask for."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def log_as_before() -> Iterator[None]:
    """For a test that runs a program's command in this process, which sends the whole log elsewhere."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
