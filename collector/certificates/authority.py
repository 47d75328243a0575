"""Certificates made by openssl(1): a test authority, and what it vouches for.

Nothing is ever overwritten, and private keys are files of mode 0600. A certificate serves for one thing: a
site's cannot pose as the broker's, nor the broker's as a site's.
"""

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from pathlib import Path

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 365
COLLECTOR = "plancher.collector"
PEER = "plancher.peer"
_WITHIN_S = 30.0
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_AUTHORITY = (
    *("-addext", "basicConstraints=critical,CA:TRUE,pathlen:0"),
    *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
)


class PkiError(Exception):
    """A certificate could not be made; the text says why and what to do."""


class Usage(Enum):
    """What a certificate is for: the broker's, or that of whoever connects to it."""

    SERVER = "serverAuth"
    CLIENT = "clientAuth"


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its private key, both PEM files."""

    certificate: Path
    key: Path

    @classmethod
    def at(cls, folder: Path, name: str) -> "Identity":
        """Where the files of this name stand."""
        return cls(folder / f"{name}.pem", folder / f"{name}.key")

    @property
    def exists(self) -> bool:
        """Whether either file is there."""
        return self.certificate.exists() or self.key.exists()


class Authority:
    """A certificate authority whose files are ``<name>.pem`` and ``<name>.key`` in ``folder``."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self._own = Identity.at(folder, name)

    @property
    def certificate(self) -> Path:
        """What the other side must be given to believe this authority."""
        return self._own.certificate

    @property
    def exists(self) -> bool:
        """Whether it was made before."""
        return self._own.exists

    def make(self, common_name: str = "Plancher test authority", days: int = AUTHORITY_DAYS) -> "Authority":
        """Make it, and return it. Raises PkiError, also where there is one."""
        subject = ("-x509", "-days", str(days), "-subj", f"/CN={common_name}")
        files = ("-keyout", self._own.key, "-out", self._own.certificate)
        with _claimed(self._own):
            _openssl("req", *_NEW_KEY, *subject, *_AUTHORITY, *files)
        return self

    def issue(
        self,
        common_name: str,
        usage: Usage = Usage.CLIENT,
        *,
        files: Identity | None = None,
        names: Sequence[str] = (),
        days: int = CERTIFICATE_DAYS,
    ) -> Identity:
        """A certificate for this name, and for the addresses and host names in ``names``.

        It stands beside the authority's own unless ``files`` says where. Negative ``days``: it has expired.
        Raises PkiError, also where there is one.
        """
        made = files or Identity.at(self.folder, common_name)
        with _claimed(made), tempfile.TemporaryDirectory(prefix="plancher-pki-") as folder:
            request, extensions = Path(folder) / "request", Path(folder) / "extensions"
            extensions.write_text(_extensions(usage, names), encoding="utf-8")
            _openssl("req", *_NEW_KEY, "-subj", f"/CN={common_name}", "-keyout", made.key, "-out", request)
            signed = ("-CA", self._own.certificate, "-CAkey", self._own.key)
            number = ("-set_serial", f"0x{secrets.token_hex(16)}", "-days", str(days))
            files_of = ("-in", request, "-extfile", extensions, "-out", made.certificate)
            _openssl("x509", "-req", *signed, *number, *files_of)
        return made


def _extensions(usage: Usage, names: Sequence[str]) -> str:
    lines = [
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        f"extendedKeyUsage={usage.value}",
        "authorityKeyIdentifier=keyid",
    ]
    if names:
        lines.append("subjectAltName=" + ",".join(_alternative(name) for name in names))
    return "\n".join(lines) + "\n"


def _alternative(name: str) -> str:
    try:
        return f"IP:{ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


@contextmanager
def _claimed(files: Identity) -> Iterator[None]:
    """Both files are made, the key for its owner alone before anything is in it; a failure leaves none."""
    _claim(files)
    try:
        yield
    except BaseException:
        files.key.unlink(missing_ok=True)
        files.certificate.unlink(missing_ok=True)
        raise


def _claim(files: Identity) -> None:
    if files.exists:
        there = files.key if files.key.exists() else files.certificate
        raise PkiError(f"{there}: is there already: nothing is overwritten, move it away")
    try:
        files.key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path, mode in ((files.key, 0o600), (files.certificate, 0o644)):
            path.touch(mode=mode, exist_ok=False)
    except OSError as error:
        raise PkiError(f"{error.filename}: {error.strerror}") from None


def _openssl(*arguments: str | Path) -> None:
    program = shutil.which("openssl")
    if program is None:
        raise PkiError("openssl is not installed; on Debian or Ubuntu: sudo apt-get install openssl")
    told = [program, *map(str, arguments)]
    done = subprocess.run(  # noqa: S603 -- openssl with our own options, no shell
        told, capture_output=True, text=True, timeout=_WITHIN_S, check=False
    )
    if done.returncode:
        raise PkiError(f"openssl {arguments[0]} failed: {done.stderr.strip() or done.returncode}")
