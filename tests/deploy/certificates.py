"""Certificates for tests, made by openssl: an authority, and what it vouches for."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.servers import require


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its private key, both PEM files."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority whose files stand in ``directory``."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._openssl = require("openssl")
        self._own = self._files(name)
        self._request(name, self._own, "-x509", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    @property
    def certificate(self) -> Path:
        """What the other side must be given to believe this authority."""
        return self._own.certificate

    def issue(self, name: str) -> Identity:
        """A certificate with this common name, valid for the address 127.0.0.1 where it serves."""
        files = self._files(name)
        request = files.certificate.with_suffix(".csr")
        extensions = files.certificate.with_suffix(".ext")
        extensions.write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
        self._request(name, Identity(request, files.key))
        signed_by: list[str | Path] = [
            "-CA",
            self._own.certificate,
            "-CAkey",
            self._own.key,
            "-CAcreateserial",
        ]
        files_and_days: list[str | Path] = ["-in", request, "-out", files.certificate, "-days", "2"]
        self._run("x509", "-req", *files_and_days, *signed_by, "-extfile", extensions)
        return files

    def _files(self, name: str) -> Identity:
        return Identity(self._directory / f"{name}.pem", self._directory / f"{name}.key")

    def _request(self, name: str, files: Identity, *options: str) -> None:
        key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            str(files.key),
        ]
        self._run("req", "-new", *key, "-subj", f"/CN={name}", "-out", files.certificate, *options)

    def _run(self, *arguments: str | Path) -> None:
        subprocess.run([self._openssl, *arguments], check=True, capture_output=True, timeout=30)
