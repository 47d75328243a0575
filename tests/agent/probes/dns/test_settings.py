"""Section ``dns`` of the settings: accepted as people write it, and every mistake told."""

from pathlib import Path

import pytest

from agent import configuration
from agent.probes.dns.settings import DnsSettings, ExpectedName
from host.settings import SettingsError

GOOD = "site: A\npeer: {key: key-of-sixteen-bytes}\n"


def read(folder: Path, text: str) -> DnsSettings:
    path = folder / "agent.yaml"
    path.write_text(GOOD + text, encoding="utf-8")
    return configuration.load(path).section(DnsSettings)


def test_names_stand_alone_or_with_what_is_expected_of_them(tmp_path: Path) -> None:
    text = """
dns:
  names:
    - ent.example.fr
    - {name: xn--coles-9ra.example.fr., expect: [192.0.2.0/24, "2001:db8::/32", 192.0.2.1]}
  resolvers: [192.0.2.53, "2001:db8::53", "fe80::1%eth0"]
  timeout: 500 ms
"""
    found = read(tmp_path, text)
    expected = ("192.0.2.0/24", "2001:db8::/32", "192.0.2.1")
    assert found.names == ("ent.example.fr", ExpectedName("xn--coles-9ra.example.fr.", expected))
    assert (found.resolvers[2], found.timeout) == ("fe80::1%eth0", 0.5)


SEVENTEEN = ", ".join(f"{number}.fr" for number in range(17))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"dns: {{names: [{SEVENTEEN}]}}", "dns.names: 17 names: 16 at most"),
        (
            "dns: {names: [écoles.example.fr]}",
            "dns.names[0]: not ASCII: write xn--coles-9ra.example.fr",
        ),
        (
            "dns: {names: [a.fr, écoles..fr]}",
            "dns.names[1]: not ASCII: write its IDNA form, which begins with xn--",
        ),
        ("dns: {names: [192.0.2.1]}", "dns.names[0]: 192.0.2.1 is an address: write a name"),
        (
            "dns: {names: [a b.fr]}",
            "dns.names[0]: not a host name: labels of 1 to 63 letters, digits, - and _, separated by dots",
        ),
        ("dns: {names: [a.fr, {name: A.fr.}]}", "dns.names[1]: a.fr is there twice: keep one"),
        (
            "dns: {names: [{name: a.fr, expect: [192.0.2.0/24, 192.0.2.1/24]}]}",
            "dns.names[0].expect[1]: not a range of addresses: write 192.0.2.0/24 or 2001:db8::/32",
        ),
        ("dns: {names: [{name: a.fr, expects: [192.0.2.1]}]}",
         "dns.names[0].expects: no such setting; did you mean `expect`?"),
        ("dns: {resolvers: ['::1', '::2', '::3', '::4']}", "dns.resolvers: 4 addresses: 3 at most"),
        (
            "dns: {resolvers: [dns.example.fr]}",
            "dns.resolvers[0]: not an address: write 192.0.2.53 or 2001:db8::53",
        ),
        ("dns: {resolvers: ['::1', '::1']}", "dns.resolvers[1]: ::1 is there twice: keep one"),
        ("dns: {timeout: 10 s}", "dns.timeout: out of range: 100 ms to 5 s"),
        ("schedule: {dns: 2 d}", "schedule.dns: out of range: 10 s to 1 d, or null for never"),
        (
            "dns: {names: [a.fr, b.fr, c.fr], timeout: 5 s}\nschedule: {dns: 20 s}",
            "schedule.dns: shorter than a run without any answer, which takes up to 30 s",
        ),
    ],
)  # fmt: skip
def test_every_mistake_in_the_section_has_its_message(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)
    assert str(caught.value) == f"{tmp_path}/agent.yaml: {message}"
