"""Attacks of ``make test-hostile``."""

from collections.abc import Callable

from lab.hostile.effort import AttackEffort, Tell
from lab.hostile.peer import forged_source, idle_set_ups, keyless_stamp, wrong_keys

ATTACKS: dict[str, Callable[[AttackEffort, Tell], bool]] = {
    "forged-source": forged_source.run,
    "idle-set-ups": idle_set_ups.run,
    "keyless-stamp": keyless_stamp.run,
    "wrong-keys": wrong_keys.run,
}
