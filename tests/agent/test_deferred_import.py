"""In processes of their own: what is imported here stays imported."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEFERRED = ("urllib.request", "ipaddress", "locale", "tokenize", "msgspec.inspect")

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


def test_a_module_of_no_package_can_wait_too() -> None:
    run(
        "defer('colorsys')\nimport colorsys\nassert colorsys is not None\n"
        "assert colorsys.rgb_to_yiq(0, 0, 0) == (0, 0, 0)\n"
        "assert sys.modules['colorsys'].__file__"
    )


def bare(code: str) -> None:
    """Without the import hook of a developer's installation, which uses some of these modules itself."""
    paths = [str(ROOT), sysconfig.get_path("purelib")]
    begin = f"import sys\nsys.path += {paths!r}\nimport agent.resident_process\n"
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", begin + code], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr


def test_the_resident_agent_does_without() -> None:
    bare(f"assert {{type(sys.modules[name]).__name__ for name in {DEFERRED!r}}} == {{'_Deferred'}}")


@pytest.mark.parametrize(
    "use",
    [
        "import urllib.parse; assert urllib.parse.urlsplit('http://[::1]:80').port == 80",
        "import subprocess; assert subprocess.run(['true'], text=True, capture_output=True).stdout == ''",
        "import linecache; assert linecache.getline(agent.resident_process.__file__, 1)",
        "import msgspec; assert msgspec.json.schema(int) == {'type': 'integer'}",
    ],
)
def test_what_uses_them_finds_them(use: str) -> None:
    bare(use)
