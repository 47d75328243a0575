"""Case B06b: a kernel queue whose rate is 4 and 20 Mbit/s by turns of 0.5 s, 12 in the mean."""

from pathlib import Path

import pytest

from tests.cases.testbed import CaseTestbed

SHAPE = "tbf rate {} burst 5k limit 600000"
SWING = (
    "while :; do tc qdisc change dev e1 root {0}; sleep 0.5; tc qdisc change dev e1 root {1}; sleep 0.5; done"
)


@pytest.mark.usefixtures("kernel")
def test_b06b_has_one_verdict_whatever_the_phase(tmp_path: Path) -> None:
    low, high = SHAPE.format("4mbit"), SHAPE.format("20mbit")
    with CaseTestbed(tmp_path) as testbed:
        testbed.start_servers(with_collector=False)
        testbed.write_agent_settings(
            floor={"down": "8 Mbit/s", "up": None, "pre_drain": "0 B"},
            line_counters={"source": "inline", "interface": "e0"},
        )
        testbed.at(testbed.hop, f"tc qdisc add dev e1 root {high}")
        testbed.start("swing", testbed.hop, "/bin/sh", "-c", SWING.format(low, high))
        # A start takes a random part of the swing's second: each measurement meets another phase.
        verdicts = [testbed.measure_floor_down()[1]["values"]["verdict"] for _ in range(3)]
    # A sender that a busy machine holds up makes a test invalid.
    assert set(verdicts) <= {"pass", "undetermined", "invalid"}, verdicts
