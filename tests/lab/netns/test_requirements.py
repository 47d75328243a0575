import os
from pathlib import Path

import pytest

from lab.netns import requirements
from lab.netns.links.link import KernelLink
from lab.netns.requirements import KernelLinkError
from lab.netns.settings import KernelLinkSettings
from lab.programs import installed

ALL, NONE = 2**64 - 1, 0


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a directory with all three programs, and search nowhere else."""
    for name in requirements.PROGRAMS:
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(installed, "ALSO_SEARCHED", ())
    return tmp_path


def rights(monkeypatch: pytest.MonkeyPatch, user: int, capabilities: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(requirements, "_effective", lambda: capabilities)


def test_missing_programs_are_named_with_their_packages(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rights(monkeypatch, 0, ALL)
    (programs / "tc").unlink()
    (programs / "nft").unlink()
    assert requirements.lacking() == (
        "the programs tc and nft: on Debian or Ubuntu, sudo apt-get install iproute2 nftables",
    )
    assert requirements.lacking({"no": "some"}) == (
        "the programs tc, nft and no: on Debian or Ubuntu, sudo apt-get install iproute2 nftables some",
    )


@pytest.mark.usefixtures("programs")
def test_missing_capabilities_of_root_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    rights(monkeypatch, 0, ALL & ~(1 << 21))
    assert requirements.lacking() == (
        "CAP_SYS_ADMIN: this root user cannot create network namespaces; is this a container?",
    )


@pytest.mark.usefixtures("programs")
def test_a_link_without_root_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    rights(monkeypatch, 1000, NONE)
    with pytest.raises(KernelLinkError) as caught, KernelLink(KernelLinkSettings()):
        pass
    assert str(caught.value) == (
        "a kernel link needs root rights to create network namespaces (this is user id 1000): use sudo"
    )
