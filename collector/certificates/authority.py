"""Test authority and its certificates, made by openssl(1).

No file is ever overwritten, and private keys are files of mode 0600. A certificate has one extended key
usage: a site's certificate cannot be used as the broker's, nor the broker's as a site's.
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
# pathlen 0: it issues certificates, but no further authority (RFC 5280 section 4.2.1.9).
_AUTHORITY = (
    *("-addext", "basicConstraints=critical,CA:TRUE,pathlen:0"),
    *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
)


class PkiError(Exception):
    """Failure to make a certificate; the text says why and what to do."""


class Usage(Enum):
    """Extended key usage: of the broker, or of a client that connects to it."""

    SERVER = "serverAuth"
    CLIENT = "clientAuth"


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Certificate and its private key, both PEM files."""

    certificate: Path
    key: Path

    @classmethod
    def at(cls, folder: Path, name: str) -> "CertificateFiles":
        """Make the paths of both files from a name."""
        return cls(folder / f"{name}.pem", folder / f"{name}.key")

    @property
    def exists(self) -> bool:
        """True if either file exists."""
        return self.certificate.exists() or self.key.exists()


class Authority:
    """Certificate authority with the files ``<name>.pem`` and ``<name>.key`` in ``folder``."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self._own = CertificateFiles.at(folder, name)

    @property
    def certificate(self) -> Path:
        """Path of the certificate that others need to verify what this authority issued."""
        return self._own.certificate

    @property
    def exists(self) -> bool:
        """True if its files exist."""
        return self._own.exists

    def make(self, common_name: str = "Plancher test authority", days: int = AUTHORITY_DAYS) -> "Authority":
        """Make the authority and return it. Raises PkiError, also if it exists already."""
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
        files: CertificateFiles | None = None,
        names: Sequence[str] = (),
        days: int = CERTIFICATE_DAYS,
    ) -> CertificateFiles:
        """Issue a certificate for a common name, and for the addresses and host names in ``names``.

        Its files are beside the authority's own, or ``files``. Negative ``days`` make an expired certificate.
        Raises PkiError, also if it exists already, and for a name that is part of several topics.
        """
        if not common_name or not common_name.isprintable() or set(common_name) & set("/+#,="):
            raise PkiError(
                f"{common_name!r}: no name for a certificate: / + and # would reach another's topics"
            )
        made = files or CertificateFiles.at(self.folder, common_name)
        with _claimed(made), tempfile.TemporaryDirectory(prefix="plancher-pki-") as folder:
            request, extensions = Path(folder) / "request", Path(folder) / "extensions"
            extensions.write_text(_extensions(usage, names), encoding="utf-8")
            _openssl("req", *_NEW_KEY, "-subj", f"/CN={common_name}", "-keyout", made.key, "-out", request)
            signed = ("-CA", self._own.certificate, "-CAkey", self._own.key)
            # A random serial number needs no file that counts them; at most 20 octets (RFC 5280 section
            # 4.1.2.2).
            number = ("-set_serial", f"0x{secrets.token_hex(16)}", "-days", str(days))
            files_of = ("-in", request, "-extfile", extensions, "-out", made.certificate)
            _openssl("x509", "-req", *signed, *number, *files_of)
        return made


def _extensions(usage: Usage, names: Sequence[str]) -> str:
    lines = [
        "basicConstraints=critical,CA:FALSE",
        # TLS with ECDHE only signs with this key, so one usage is enough.
        "keyUsage=critical,digitalSignature",
        f"extendedKeyUsage={usage.value}",
        # Python 3.13 verifies strictly, and refuses a certificate without this identifier.
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
def _claimed(files: CertificateFiles) -> Iterator[None]:
    """Create both files empty, the key with mode 0600; a failure removes them."""
    _claim(files)
    try:
        yield
    # Also for a keyboard interrupt: half of a pair would block the next call.
    except BaseException:
        files.key.unlink(missing_ok=True)
        files.certificate.unlink(missing_ok=True)
        raise


def _claim(files: CertificateFiles) -> None:
    if files.exists:
        existing = files.key if files.key.exists() else files.certificate
        raise PkiError(f"{existing}: exists already and is not overwritten: move it away first")
    try:
        files.key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # openssl keeps the mode of an existing file, so the key is never readable for others.
        for path, mode in ((files.key, 0o600), (files.certificate, 0o644)):
            path.touch(mode=mode, exist_ok=False)
    except OSError as error:
        raise PkiError(f"{error.filename}: {error.strerror}") from None


def _openssl(*arguments: str | Path) -> None:
    program = shutil.which("openssl")
    if program is None:
        raise PkiError("openssl is not installed; on Debian or Ubuntu: sudo apt-get install openssl")
    call = [program, *map(str, arguments)]
    done = subprocess.run(  # noqa: S603 -- openssl with our own options, no shell
        call, capture_output=True, text=True, timeout=_WITHIN_S, check=False
    )
    if done.returncode:
        raise PkiError(f"openssl {arguments[0]} failed: {done.stderr.strip() or done.returncode}")
