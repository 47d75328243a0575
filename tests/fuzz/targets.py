"""All targets by name."""

from tests.fuzz import packet_targets, text_targets
from tests.fuzz.running import Target

TARGETS: dict[str, Target] = {
    target.name: target for target in (*text_targets.TARGETS, *packet_targets.TARGETS)
}
