"""Keys that change while the peer runs: by value, and in a running peer."""

import asyncio
import logging
from pathlib import Path

import pytest

from agent.load.udpstp_client import run_load
from peer import program, settings
from peer.keys import PeerKeys
from peer.program import PeerService
from peer.settings import PeerSettings, ReflectorServerSettings, UdpstpSettings
from wire.records import Direction
from wire.udpstp.load import Ending


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.touch(mode=0o600)
    path.write_text("1 first-secret-of-16\n2 second-secret-of-16\n")
    return path


@pytest.fixture
def chosen(file: Path) -> PeerSettings:
    return PeerSettings(
        keys_file=str(file), udpstp=UdpstpSettings(port=24601), stamp=ReflectorServerSettings(port=8862)
    )


def test_changed_keys_are_used_and_logged_by_their_ids_alone(
    file: Path, chosen: PeerSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    keys = PeerKeys(chosen, settings.secrets(chosen))
    assert not keys.renew()
    file.write_text("2 another-secret-of-16\n3 third-secret-of-16\n")
    assert keys.renew()
    assert keys.secrets == {2: b"another-secret-of-16", 3: b"third-secret-of-16"}
    assert [record.message for record in caplog.records] == ["keys renewed: 1 removed, 2 changed, 3 added"]


@pytest.mark.parametrize(
    "damage", ["", "one hidden-secret-of-16\n", "1 hidden-secret-of-16\n1 hidden-secret-of-16\n"]
)
def test_files_with_mistakes_leave_the_keys_in_use_and_are_logged_once(
    file: Path, chosen: PeerSettings, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    keys = PeerKeys(chosen, settings.secrets(chosen))
    file.write_text(damage)
    assert not keys.renew()
    assert not keys.renew()
    assert set(keys.secrets) == {1, 2}
    assert caplog.text.count("the keys from before stay in use") == 1
    assert "secret" not in caplog.text.replace("and the secret", "")
    file.write_text("1 first-secret-of-16\n2 second-secret-of-16\n")
    assert not keys.renew()
    file.chmod(0o644)
    assert not keys.renew()
    assert "others can read it" in caplog.text


async def test_a_running_peer_uses_new_keys_and_refuses_old_ones(
    file: Path, chosen: PeerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "KEYS_EVERY_S", 0.05)
    free = PeerSettings(keys_file=chosen.keys_file, udpstp=UdpstpSettings(), stamp=ReflectorServerSettings())
    served = PeerService(free, settings.secrets(free))
    served.udpstp._asked_port = served.reflector._asked_port = 0

    async def ending(key_id: int, secret: bytes) -> Ending:
        report = await run_load(
            "127.0.0.1", served.udpstp.port, key_id=key_id, secret=secret, direction=Direction.DOWN, row=1,
            duration_s=1,
        )  # fmt: skip
        return report.ending

    stop = asyncio.Event()
    running = asyncio.create_task(served.run(stop))
    while not served.udpstp.serving:
        await asyncio.sleep(0.01)
    assert await ending(1, b"first-secret-of-16") is Ending.COMPLETED
    await asyncio.to_thread(file.write_text, "3 third-secret-of-16\n")
    while served._keys.secrets.keys() != {3}:
        await asyncio.sleep(0.01)
    assert await ending(3, b"third-secret-of-16") is Ending.COMPLETED
    assert await ending(1, b"first-secret-of-16") is Ending.NO_ANSWER
    stop.set()
    await running
