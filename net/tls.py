"""TLS to the broker: contexts from files that are renewed while the program runs.

A connection uses the present content of the files. Where that is unusable, most often half written, the
content read before stays in use, and the log says so.
"""

import logging
import ssl
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from net.complaint import Complaint

# X509_V_FLAG_NO_CHECK_TIME of <openssl/x509_vfy.h>, for which Python's ssl has no name.
NO_CHECK_TIME = 0x200000

log = logging.getLogger(__name__)


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    """TLS to the broker: ``ca`` is the file of the authority's certificate, None for those of the system.

    ``certificate`` and ``key`` are this program's own, for brokers that require one.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


class BrokerError(Exception):
    """Error in the broker's part of the settings; the text says what is wrong and what to do.

    Its cause is an OSError if a file cannot be read.
    """


class Credentials:
    """TLS context for connections, renewed with its files. Raises BrokerError on construction."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._seen = _stamps(tls)
        self._context = tls_context(tls)
        self._complaint = Complaint()

    def context(self, *, check_dates: bool) -> ssl.SSLContext:
        """Context for the next connection. Without ``check_dates`` only chain and name are checked."""
        self.renew()
        flags = int(self._context.verify_flags) & ~NO_CHECK_TIME
        self._context.verify_flags = ssl.VerifyFlags(flags if check_dates else flags | NO_CHECK_TIME)
        return self._context

    def renew(self) -> bool:
        """Read the files again if they have changed; return True if there is a new context."""
        # Stamps are read before the files: a change in between is noticed next time.
        stamps = _stamps(self._tls)
        if stamps == self._seen and not self._complaint.problem:
            return False
        try:
            context = tls_context(self._tls)
        except BrokerError as error:
            # Files that stay half written would otherwise fill the log with each look at them.
            if self._complaint.is_news(str(error)):
                log.error("%s: the files read before stay in use", error)
            return False
        finally:
            self._seen = stamps
        self._context = context
        self._complaint.is_news("")
        log.info("broker.tls: new files are in use from the next connection on")
        return True


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Create a client context that checks chain, name and dates. Raises BrokerError with the faulty file."""
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except (OSError, ssl.SSLError) as error:
        raise BrokerError(
            f"broker.tls.ca: {tls.ca}: no usable authority certificate ({_why(error)})"
        ) from _unread(error)
    if tls.key and not tls.certificate:
        raise BrokerError("broker.tls.key: of no use without broker.tls.certificate")
    if tls.certificate:
        _refuse_if_open(tls)
        try:
            # Without a password OpenSSL would ask for one at the terminal and wait.
            context.load_cert_chain(tls.certificate, tls.key, password="")
        except (OSError, ssl.SSLError) as error:
            raise BrokerError(
                f"broker.tls.certificate: {tls.certificate}: not usable ({_why(error)})"
            ) from _unread(error)
    return context


def _refuse_if_open(tls: Tls) -> None:
    """Refuse a private key that others can read. Raises BrokerError."""
    # Without a key of its own the certificate's file has the key, too.
    name, setting = (tls.key, "key") if tls.key else (tls.certificate, "certificate")
    # A missing file is a finding of whoever reads it.
    with suppress(OSError):
        if Path(name or "").stat().st_mode & 0o077:
            raise BrokerError(
                f"broker.tls.{setting}: {name}: others can read the key in it: chmod 600 {name}"
            )


def _stamps(tls: Tls) -> tuple[tuple[int, ...] | None, ...]:
    """File attributes that change when a file is written or replaced; None for a missing file."""
    return tuple(_stamp(Path(name)) for name in (tls.ca, tls.certificate, tls.key) if name)


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _unread(error: OSError) -> OSError | None:
    """Error of a file that cannot be read; None where its content is not usable."""
    return None if isinstance(error, ssl.SSLError) else error


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
