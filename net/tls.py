"""TLS towards the broker: contexts made from files that are renewed while the program runs.

A connection is made with what the files hold at that moment. Where that cannot be used (half written, most
often), what was in use stays in use, and the log says so.
"""

import logging
import ssl
from pathlib import Path

from msgspec import Struct

from net.complaint import Complaint

# X509_V_FLAG_NO_CHECK_TIME of <openssl/x509_vfy.h>, which Python's ssl has no name for.
NO_CHECK_TIME = 0x200000

log = logging.getLogger(__name__)


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    """TLS towards the broker: ``ca`` is the authority's certificate file, the system's where absent.

    ``certificate`` and ``key`` are this program's own, for brokers that ask for one.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


class BrokerError(Exception):
    """The broker's part of the configuration cannot work; the text says why and what to do."""


class Credentials:
    """The context to connect with, renewed with its files. Raises BrokerError on construction."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._seen = _stamps(tls)
        self._context = tls_context(tls)
        self._complaint = Complaint()

    def context(self, *, check_dates: bool) -> ssl.SSLContext:
        """For the next connection. Without ``check_dates``, chain and name are checked, and no dates."""
        self.renew()
        flags = int(self._context.verify_flags) & ~NO_CHECK_TIME
        self._context.verify_flags = ssl.VerifyFlags(flags if check_dates else flags | NO_CHECK_TIME)
        return self._context

    def renew(self) -> bool:
        """Take what the files hold now if they changed; returns whether there is a new context.

        Stamps are read before the files: what is written in between is seen as a change next time.
        """
        stamps = _stamps(self._tls)
        if stamps == self._seen and not self._complaint.problem:
            return False
        try:
            context = tls_context(self._tls)
        except BrokerError as error:
            if self._complaint.is_news(str(error)):
                log.error("%s: what was there before stays in use", error)
            return False
        finally:
            self._seen = stamps
        self._context = context
        self._complaint.is_news("")
        log.info("broker.tls: new files are in use from the next connection on")
        return True


def tls_context(tls: Tls) -> ssl.SSLContext:
    """A client context that checks chain, name and dates. Raises BrokerError naming the file at fault."""
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except (OSError, ssl.SSLError) as error:
        raise BrokerError(
            f"broker.tls.ca: {tls.ca}: no usable authority certificate ({_why(error)})"
        ) from None
    if tls.key and not tls.certificate:
        raise BrokerError("broker.tls.key: of no use without broker.tls.certificate")
    if tls.certificate:
        try:
            # Without a password given, OpenSSL would ask for one at the terminal and wait.
            context.load_cert_chain(tls.certificate, tls.key, password="")
        except (OSError, ssl.SSLError) as error:
            raise BrokerError(
                f"broker.tls.certificate: {tls.certificate}: not usable ({_why(error)})"
            ) from None
    return context


def _stamps(tls: Tls) -> tuple[tuple[int, ...] | None, ...]:
    """What changes when a file is written or replaced; None for one that is not there."""
    return tuple(_stamp(Path(name)) for name in (tls.ca, tls.certificate, tls.key) if name)


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
