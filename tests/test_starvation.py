"""A starved machine makes figures invalid, and nothing else does."""

import time
from pathlib import Path

import pytest

from tests.starvation import Starvation

PRESSURE = "some avg10=0.00 avg60=0.00 avg300=0.00 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n"


def waited(path: Path, share: float) -> Starvation:
    """Account of a tenth of a second in which programs waited for this share of the time."""
    path.write_text(PRESSURE.format(1000))
    found = Starvation(path)
    began = time.monotonic()
    time.sleep(0.1)
    path.write_text(PRESSURE.format(1000 + round(share * (time.monotonic() - began) * 1e6)))
    return found


def test_a_figure_of_a_starved_machine_is_invalid(tmp_path: Path) -> None:
    starved = waited(tmp_path / "cpu", 0.9)
    starved.expect(True, "right")
    with pytest.raises(pytest.skip.Exception, match="invalid: no verdict; programs waited"):
        starved.expect(False, "no verdict")


def test_a_figure_of_a_quiet_machine_is_right_or_wrong(tmp_path: Path) -> None:
    quiet = waited(tmp_path / "cpu", 0.1)
    quiet.expect(True, "right")
    with pytest.raises(AssertionError, match="no verdict"):
        quiet.expect(False, "no verdict")


def test_a_kernel_without_the_account_has_a_load_average(tmp_path: Path) -> None:
    assert 0 <= Starvation(tmp_path / "none").share <= 1
