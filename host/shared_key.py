"""Shared key of an agent and a peer: rules for its file and its content, the same at both ends."""

from pathlib import Path

from host.settings import SettingsError

EXAMPLE = "example-key-change-me"
# 128 bits, as a key of HMAC-SHA-256-128 needs at the least (RFC 2104 section 3); a shorter one can be guessed
# from one recorded packet.
MIN_BYTES = 16
# The reference program of RFC 9946 takes no longer secret, and both ends must accept the same ones.
MAX_BYTES = 64


def read_private(place: str, path: Path, source: str) -> str:
    """Read a file that no other user may read.

    ``source`` is the advice for a missing file. Raises SettingsError, whose text begins with ``place``, the
    setting that names the file. Its cause is an OSError if the file cannot be read.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise SettingsError(f"{place}: {path}: others can read it: chmod 600 {path}")
        # Windows' editors begin a text file with a byte order mark.
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError(f"{place}: {path}: not text: this is no key file") from None
    except FileNotFoundError as error:
        raise SettingsError(f"{place}: {path}: no such file: {source} (and chmod 600)") from error
    except PermissionError as error:
        raise SettingsError(
            f"{place}: {path}: this user may not read it: run as the user to whom it belongs"
        ) from error
    except OSError as error:
        raise SettingsError(f"{place}: {path}: {error.strerror}") from error


def problem(key: str, *, on_loopback: bool) -> str | None:
    """Describe the reason why a key is unusable, without the key itself; None for a usable one.

    ``on_loopback``: only this machine can reach the peer.
    """
    if not MIN_BYTES <= len(key.encode()) <= MAX_BYTES:
        return f"a key has {MIN_BYTES} to {MAX_BYTES} bytes: make one with openssl rand -hex 24"
    if not key.isprintable():
        return "a character in it cannot be seen: write the key anew"
    if key == EXAMPLE and not on_loopback:
        return "the example key is known to everybody: only a peer on this machine may use it"
    return None
