import subprocess
import sys

from agent.service.memory import clean_code

SMAPS = """\
55d0a0000000-55d0a0010000 r-xp 00001000 fe:01 1234                       /usr/bin/python3.11
Size:                 64 kB
Private_Dirty:         0 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
55d0a0010000-55d0a0020000 r--p 00011000 fe:01 1234                       /usr/bin/python3.11
Anonymous:             0 kB
7f0000000000-7f0000001000 r-xp 00000000 fe:01 99                         /lib/libpatched.so (deleted)
Anonymous:             4 kB
7f0000001000-7f0000003000 r-xp 00000000 fe:01 99                         /lib/libc.so.6
Anonymous:             0 kB
7f0000003000-7f0000004000 r-xp 00000000 00:00 0
Anonymous:             0 kB
7ffc00000000-7ffc00001000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
"""

CHILD = """
import hashlib, sqlite3, ssl
from pathlib import Path
from agent.service.memory import give_back

def files():
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssFile"))

def work():
    ssl.create_default_context()
    return sqlite3.connect(":memory:").execute("SELECT 6 * 7").fetchone()[0], hashlib.sha256(b"x").hexdigest()

done = work()
before = files()
give_back()
after = files()
assert work() == done
print(before - after)
"""


def test_only_unchanged_code_of_files_is_given_back() -> None:
    assert list(clean_code(SMAPS.splitlines())) == [
        (0x55D0A0000000, 0x55D0A0010000),
        (0x7F0000001000, 0x7F0000003000),
    ]


def test_a_process_becomes_smaller_and_goes_on_working() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 1000  # kB
