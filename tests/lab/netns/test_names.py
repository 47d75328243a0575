import os
import subprocess
import sys

from lab.netns import names
from lab.netns.names import LinkNode


def test_each_link_of_a_process_has_names_of_its_own() -> None:
    first, second = names.fresh(), names.fresh()
    assert len({*first.values(), *second.values()}) == 2 * len(LinkNode)
    assert names.stale([*first.values(), *second.values()]) == []


def test_names_of_an_ended_process_are_stale() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from lab.netns import names; print(*names.fresh().values())"],
        capture_output=True,
        text=True,
        check=True,
    )
    left = ended.stdout.split()
    assert len(left) == len(LinkNode)
    assert names.stale(left) == left


def test_a_reused_process_id_is_not_the_creator() -> None:
    reused = f"plancher-{os.getpid()}-1-0-site"
    assert names.stale([reused]) == [reused]


def test_other_names_are_not_stale() -> None:
    assert names.stale(["plancher", "plancher-1-2-site", "blue", "plancher-1-1-0-site-x"]) == []
