"""Every option of the three settings files is in its commented example, with its default."""

import re
import typing
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent import configuration
from agent.configuration import SETTINGS
from collector import settings as collector_settings
from collector.settings import CollectorSettings
from peer import settings as peer_settings
from peer.settings import PeerSettings

ROOT = Path(__file__).parent.parent
EXAMPLES = {"agent.yaml": SETTINGS, "peer.yaml": PeerSettings, "collector.yaml": CollectorSettings}
SAID_ELSEWHERE = {"peer.yaml": ("broker.", "agent.yaml")}
"""``as in agent.yaml``, says the comment."""


def options(kind: type[msgspec.Struct], before: str = "") -> Iterator[str]:
    for one in msgspec.structs.fields(kind):
        yield before + one.encode_name
        for part in structs_in(one.type):
            yield from options(part, f"{before}{one.encode_name}.")


def structs_in(annotation: object) -> Iterator[type[msgspec.Struct]]:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
    for part in typing.get_args(annotation):
        yield from structs_in(part)


def is_in(option: str, text: str) -> bool:
    name = re.escape(option.rpartition(".")[2])
    return re.search(rf"(?m)^[ #-]*{name}:|[`. ]{name}[`:]", text) is not None


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_option_is_in_the_example(example: str) -> None:
    text = (ROOT / example).read_text(encoding="utf-8")
    section, other = SAID_ELSEWHERE.get(example, ("", ""))
    elsewhere = (ROOT / other).read_text(encoding="utf-8") if other else ""
    missing = [
        option
        for option in options(EXAMPLES[example])
        if not is_in(option, text)
        and not (section and option.startswith(section) and is_in(option, elsewhere))
    ]
    assert missing == []


def differing(loaded: msgspec.Struct, defaults: msgspec.Struct) -> list[str]:
    return [name for name in loaded.__struct_fields__ if getattr(loaded, name) != getattr(defaults, name)]


def test_the_agents_example_has_the_defaults() -> None:
    loaded = configuration.load(ROOT / "agent.yaml")
    assert differing(loaded, SETTINGS(site=loaded.site, peer=loaded.peer)) == []


def test_the_collectors_example_has_the_defaults() -> None:
    loaded = collector_settings.load(ROOT / "collector.yaml")
    assert differing(loaded, CollectorSettings()) == []


def test_the_peers_example_has_the_defaults_except_for_one_port() -> None:
    loaded = peer_settings.load(ROOT / "peer.yaml")
    assert differing(loaded, PeerSettings(keys=loaded.keys)) == ["stamp"]
    assert differing(loaded.stamp, peer_settings.ReflectorServerSettings()) == ["port"]
