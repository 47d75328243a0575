"""Rules for every probe in PROBES."""

import pytest

from agent.configuration import SETTINGS
from agent.line.counters import InterfaceSource
from agent.probes import PROBES
from agent.settings.sections import PeerAccessSettings
from agent.task.task import ProbeContext
from host.clock import Clock
from wire.records import BY_NAME


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_goes_by_one_name_in_schedule_and_record(name):
    settings = SETTINGS(site="lycee-1", peer=PeerAccessSettings(host="peer.example.fr", key="x"))
    probe = PROBES[name].build(ProbeContext(settings, b"x", InterfaceSource("eth0"), Clock().read))
    assert {task.probe for task in probe.tasks()} == {name}
    assert probe.record is BY_NAME[name]
    assert probe.deadline_s > 0
