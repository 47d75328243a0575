"""In processes of their own: what is imported here stays imported."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DEFERRED = (
    "inspect",
    "platform",
    "traceback",
    "urllib.parse",
    "unicodedata",
    "stringprep",
    "linecache",
    "tokenize",
    "textwrap",
    "locale",
    "ipaddress",
    "urllib.request",
    "msgspec.inspect",
)

BEGIN = """
import sys
from agent.service.deferred_import import defer
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


def test_what_is_taken_by_name_is_called_and_looked_into_later() -> None:
    run(
        "defer('colorsys', 'rgb_to_yiq', 'ONE_THIRD')\n"
        "from colorsys import ONE_THIRD, rgb_to_yiq\n"
        "assert type(sys.modules['colorsys']).__name__ == '_Deferred'\n"
        "assert rgb_to_yiq(0, 0, b=0) == (0, 0, 0)\n"
        "assert ONE_THIRD.as_integer_ratio() == (1 / 3).as_integer_ratio()\n"
        "assert sys.modules['colorsys'].__file__"
    )


def test_what_is_answered_loads_nothing() -> None:
    run(
        "defer('colorsys', rgb_to_yiq=lambda *_: 'none')\n"
        "from colorsys import rgb_to_yiq\n"
        "assert rgb_to_yiq(0, 0, 0) == 'none'\n"
        "assert type(sys.modules['colorsys']).__name__ == '_Deferred'"
    )


def bare(code: str) -> None:
    """Without what a developer's installation adds, and uses some of these modules itself."""
    paths = [str(ROOT), sysconfig.get_path("purelib")]
    begin = (
        f"import sys\nsys.path += {paths!r}\n"
        "sys.modules['typing_extensions'] = None\n"
        "import agent.service.__main__\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", begin + code], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr


def test_the_resident_agent_does_without() -> None:
    bare(f"assert {{type(sys.modules[name]).__name__ for name in {DEFERRED!r}}} == {{'_Deferred'}}")


def test_a_loop_that_heeds_signals_resolves_names_and_runs_programs_does_without() -> None:
    bare(
        """
import asyncio, os, signal, socket
async def main():
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    os.kill(os.getpid(), signal.SIGTERM)
    await told.wait()
    await loop.getaddrinfo("localhost", 1, type=socket.SOCK_DGRAM)
    assert await (await asyncio.create_subprocess_exec("true")).wait() == 0
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(len, ""))
asyncio.run(main())
"""
        f"assert {{type(sys.modules[name]).__name__ for name in {DEFERRED!r}}} == {{'_Deferred'}}"
    )


def test_a_coroutine_is_still_refused_as_a_signals_handler() -> None:
    bare(
        """
import asyncio, signal
async def main():
    async def handler(): ...
    try:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, handler)
    except TypeError:
        return
    raise AssertionError("accepted")
asyncio.run(main())
"""
    )


@pytest.mark.parametrize(
    "use",
    [
        "import urllib.parse; assert urllib.parse.urlsplit('http://[::1]:80').port == 80",
        "import subprocess; assert subprocess.run(['true'], text=True, capture_output=True).stdout == ''",
        "import linecache; assert linecache.getline(agent.service.__main__.__file__, 1)",
        "import msgspec; assert msgspec.json.schema(int) == {'type': 'integer'}",
        "import inspect; assert inspect.isgenerator(_ for _ in ())",
        "import platform; assert platform.python_version()",
        "import pathlib; assert pathlib.Path('/a b').as_uri() == 'file:///a%20b'",
        "assert 'b\u00fccher.example'.encode('idna') == b'xn--bcher-kva.example'",
        "import traceback; assert traceback.extract_stack()[0].name == '<module>'",
        "import traceback; assert 'lost' in ''.join(traceback.format_exception(KeyError('lost')))",
    ],
)
def test_what_uses_them_finds_them(use: str) -> None:
    bare(use)
