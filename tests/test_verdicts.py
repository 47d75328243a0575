"""A busy machine is borne with, and a verdict is not tried again until it pleases."""

import subprocess
from collections.abc import Sequence

import pytest

from tests.verdicts import until_decided


@pytest.mark.parametrize(
    ("statuses", "told", "left"),
    [((0,), 0, 0), ((2, 2, 0), 0, 0), ((1, 0), 1, 1), ((2, 1, 0), 1, 1), ((2, 2, 2, 0), 2, 1)],
)
def test_only_could_not_tell_is_tried_again_and_not_for_ever(
    statuses: Sequence[int], told: int, left: int
) -> None:
    coming = list(statuses)
    done = until_decided(lambda: subprocess.CompletedProcess([], coming.pop(0), "", ""), tries=3)
    assert (done.returncode, len(coming)) == (told, left)
