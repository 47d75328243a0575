"""Resolvers and names as a machine's files have them."""

import pytest

from agent.probes.dns.resolv_conf import hosts, nameservers


@pytest.mark.parametrize(("text", "found"), [
    ("nameserver 192.0.2.1\nnameserver 2001:db8::1\n", ("192.0.2.1", "2001:db8::1")),
    ("search example.fr\nnameserver\t127.0.0.53 \noptions edns0\n", ("127.0.0.53",)),
    ("nameserver fe80::1%eth0\n", ("fe80::1%eth0",)),
    ("nameserver 192.0.2.1\n" * 2 + "nameserver 192.0.2.2\n", ("192.0.2.1", "192.0.2.2")),
    ("".join(f"nameserver 192.0.2.{last}\n" for last in range(1, 5)),
     ("192.0.2.1", "192.0.2.2", "192.0.2.3")),
    ("# nameserver 192.0.2.1\n; nameserver 192.0.2.2\nnameserver\nnameserver portal.fr\n", ()),
    ("", ()),
])  # fmt: skip
def test_nameserver_lines_are_the_resolvers(text: str, found: tuple[str, ...]) -> None:
    assert nameservers(text) == found


def test_names_in_hosts_need_no_resolver() -> None:
    text = "127.0.0.1 localhost\n192.0.2.7\tPop-1.example.fr pop-1 # peer.example.fr\n# 192.0.2.8 other\n\n"
    assert hosts(text) == {"localhost", "pop-1.example.fr", "pop-1"}
