"""``plancher-collector pki``: makes an authority for trials and certificates of it."""

import argparse
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from collector.certificates.authority import (
    AUTHORITY_DAYS,
    CERTIFICATE_DAYS,
    COLLECTOR,
    PEER,
    Authority,
    CertificateFiles,
    PkiError,
    Usage,
)
from host.command_line import reader
from host.exits import Exit
from wire.messages import topics

Say = Callable[[str], None]

DESCRIPTION = """\
Make certificates for a trial: first an authority in DIRECTORY (ca.pem, ca.key) if there is none, then the
certificates asked for. A site's certificate has its site id as common name, which the broker uses as user
name. No file is overwritten; to renew a certificate, move the old pair away. Keep ca.key off any machine
in service: with it, anybody can make a certificate of any site."""
EXAMPLE = """\
example: everything for a broker on this machine and two sites
  plancher-collector pki var/pki --broker 127.0.0.1 --collector --peer --site 0631234A --site 0639001A"""
# At most 253 characters (RFC 1035 section 2.3.4); colons are for IPv6 addresses.
HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?")
# A dot distinguishes user names from site ids, which have none.
USER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``pki`` to a parser."""
    parser.description, parser.epilog = DESCRIPTION, EXAMPLE
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    several = "; repeat for several"
    add("directory", type=Path, metavar="DIRECTORY", help="folder of authority and certificates")
    add("--broker", action="append", default=[], type=reader(_host), metavar="NAME",
        help="certificate of the broker, broker.pem, for this name or address; may be repeated")  # fmt: skip
    add("--site", action="append", default=[], type=reader(_site), metavar="ID",
        help=f"certificate of a site, sites/ID.pem{several}")  # fmt: skip
    add("--collector", action="store_true", help=f"certificate of the collector, {COLLECTOR}.pem")
    add("--peer", action="append", default=[], type=reader(_user), nargs="?", const=PEER, metavar="USER",
        help=f"certificate of a peer, USER.pem: its user name in plancher.acl (default: {PEER})")  # fmt: skip
    days = f"validity of certificates in days (default: %(default)s; the authority: {AUTHORITY_DAYS})"
    add("--days", type=reader(_days), default=CERTIFICATE_DAYS, help=days)


def run(options: argparse.Namespace, say: Say, complain: Say) -> Exit:
    """Make the certificates asked for; ``say`` gets each path, ``complain`` the errors."""
    try:
        made = [_said(path, say) for path in _make(options)]
    except PkiError as error:
        complain(f"plancher-collector: {error}")
        return Exit.CANNOT_CREATE
    if not made:
        say(_nothing_asked(options.directory))
    return Exit.OK


def _said(made: Path, say: Say) -> Path:
    say(str(made))
    return made


def _nothing_asked(directory: Path) -> str:
    existing = sorted(str(path.relative_to(directory)) for path in directory.rglob("*.pem"))
    return (
        f"nothing was asked for; {directory} has {', '.join(existing)};"
        " --broker NAME, --site ID, --collector and --peer make more"
    )


def _make(options: argparse.Namespace) -> Iterator[Path]:
    authority = Authority(options.directory)
    if not authority.exists:
        yield authority.make().certificate
    if options.broker:
        files = CertificateFiles.at(options.directory, "broker")
        first, days = options.broker[0], options.days
        yield authority.issue(first, Usage.SERVER, files=files, names=options.broker, days=days).certificate
    for site in options.site:
        files = CertificateFiles.at(options.directory / "sites", site)
        yield authority.issue(site, files=files, days=options.days).certificate
    for user in ([COLLECTOR] if options.collector else []) + options.peer:
        yield authority.issue(user, days=options.days).certificate


def _site(text: str) -> str:
    if not topics.is_site_id(text):
        raise ValueError("expected a site id: 1 to 64 letters, digits, _ and -, the first a letter or digit")
    return text


def _host(text: str) -> str:
    if not HOST_NAME.fullmatch(text):
        raise ValueError("expected a host name or an address")
    return text


def _user(text: str) -> str:
    if not USER_NAME.fullmatch(text):
        raise ValueError(f"expected a user name with a dot in it, which no site has, such as {PEER}")
    return text


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= AUTHORITY_DAYS:
        raise ValueError(f"expected 1 to {AUTHORITY_DAYS} days")
    return int(text)
