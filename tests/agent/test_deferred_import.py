"""In processes of their own: what is imported here stays imported."""

import subprocess
import sys

BEGIN = """
import sys
from agent.deferred_import import defer
defer("urllib.request")
import urllib.request
assert "http.client" not in sys.modules
"""


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_the_module_is_there_as_soon_as_it_is_used() -> None:
    run(
        "assert hasattr(urllib.request, 'proxy_bypass')\n"
        "assert urllib.request.getproxies.__module__ == 'urllib.request'\n"
        "assert 'http.client' in sys.modules and sys.modules['urllib.request'] is urllib.request\n"
        "assert urllib.request.urlopen"
    )


def test_what_the_module_has_not_is_no_attribute() -> None:
    run("assert not hasattr(urllib.request, 'no_such_name')")


def test_a_module_that_is_there_already_stays_as_it_is() -> None:
    run(
        "urllib.request.Request\n"
        "defer('urllib.request')\n"
        "assert urllib.request is sys.modules['urllib.request']"
    )


def test_the_resident_agent_does_without() -> None:
    run("import agent.resident_process\nassert 'http.client' not in sys.modules")
