"""Fixtures that tests of several packages use, and the lanes in which these run."""

import asyncio
import inspect
import logging
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.lanes import CORE, GUARD, LANES, TESTS, lane_of, places_of
from tests.starvation import Starvation

# A bound on time would fail tests of a busy machine; what needs more examples has them in `make fuzz`.
settings.register_profile("plancher", max_examples=30, deadline=None)
settings.load_profile("plancher")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--lane", choices=LANES, help="run the tests of this lane alone (tests/lanes.py)")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    lane = config.getoption("lane")
    if lane is None or not collection_path.is_relative_to(TESTS):
        return None
    tests = collection_path.is_dir() or collection_path.name.startswith("test_")
    return True if tests and collection_path not in places_of(lane) else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    if lane_of(item.path) != CORE:
        return (yield)
    with GUARD.watching():
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an ``async`` test in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(pyfuncitem.obj(**given))
    return True


@pytest.fixture
def starvation() -> Starvation:
    """Account of the time in which programs wait for a processor while the test runs."""
    return Starvation()


@pytest.fixture
def log_as_before() -> Iterator[None]:
    """For a test that runs a program's command in this process, which sends the whole log elsewhere."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
