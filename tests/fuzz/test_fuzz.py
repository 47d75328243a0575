"""Short fuzzing of each decoder with a fixed seed; ``make fuzz`` runs longer."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import running
from tests.fuzz.running import Target
from tests.fuzz.targets import TARGETS

SECONDS, LEAST, SEED = 0.25, 60, 1


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Silence the decoders, which would warn of almost every input."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", TARGETS)
def test_only_declared_outcomes(name: str) -> None:
    result = running.run(TARGETS[name], SECONDS, SEED, least=LEAST)
    assert not result.crashes, "\n".join(f"{data!r:.2000}\n{told}" for data, told in result.crashes.values())
    assert result.executions > len(TARGETS[name].examples)
    assert len(result.outcomes) > 1, "no input made a difference: are the examples valid?"


FOUND = [
    ("envelope", b"[" * 200_000),
    ("status-file", b'{"x":"\xed"}'),
    ("status-file", b"[" * 20_000),
    ("path-request", b'{"address":"\xb2"}'),
    ("path-answer", b'{"values":' * 5000),
    ("handover", b'{"x":' * 5000),
    ("handover", b'{"settings":{"site":"A","peer":{},"floor":{"retest_after":1' + b"0" * 400 + b"}}}"),
    ("proc-stat", b"cpu " + b"9" * 5000 + b" 1 1 1 1 1\n"),
    ("keys-file", b"9" * 5000 + b" secret\n"),
    ("peer.yaml", b"udpstp: {highest_rate: '10 " + b"Mbi " * 1000 + b"'}\n"),
    ("collector.yaml", b"x" * 100_000 + b": 1\n"),
    ("sites.csv", b",".join(b"%d" % number for number in range(300)) + b"\n"),
]


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_inputs_that_once_crashed(name: str, data: bytes) -> None:
    TARGETS[name].run(data)


def faulty(data: bytes) -> str:
    if b"\xff" in data:
        raise KeyError("not declared")
    return "read"


def test_a_crash_is_found_and_saved(tmp_path: Path) -> None:
    result = running.run(Target("faulty", faulty, (b"example",)), 10, SEED, most=500)
    assert len(result.crashes) == 1, "one place, however many inputs"
    (path,) = running.save(result, tmp_path)
    assert b"\xff" in path.read_bytes()
    assert "not declared" in path.with_name(path.name + ".txt").read_text()


def test_a_run_can_be_repeated() -> None:
    def inputs() -> list[bytes]:
        seen: list[bytes] = []
        target = Target(
            "any", lambda data: seen.append(data) or str(len(data) % 7), (b'{"a": [1, 2]}', b"xyz")
        )
        running.run(target, 10, SEED, most=300)
        return seen

    assert inputs() == inputs()


def test_too_much_memory_is_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MOST_BYTES", 1_000_000)
    result = running.run(Target("greedy", lambda data: str(len(data * 500_000)), (b"abc",)), 10, SEED, most=1)
    assert list(result.crashes) == ["too large"]
