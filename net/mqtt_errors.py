"""Errors of a connection to the broker, explained in one line: whose fault it is and what to do.

Libraries and the kernel give texts, and often no codes. ``_SIGNS`` is read in its order: the first sign found
in the text decides, so that a special text comes before a general one.
"""

import re

HUNG_UP = "hung up before it answered"
CLOSED = "closed the connection"
SILENT = "acknowledged nothing"
TOO_LARGE = "a packet beyond the bound"
UNREQUESTED = "a publication of QoS 2"
UNPROVED = "accepted the connection and proved nothing"
UNRETAINED = "which keeps no retained messages: it forgets who is connected (set retain_available true)"
UNREAD = "reads nothing of what we send"

_USER = "refuses this user name or password: see broker.username and broker.password_file"
_OURS = "see broker.tls.certificate"


def _strict(whose: str, extension: str) -> str:
    """Words for an extension whose absence fails the strict verification of Python 3.13."""
    owner = "its authority (broker.tls.ca)" if whose == "authority" else "its certificate"
    text = f"{owner} lacks {extension.partition('=')[0]} as Python 3.13 and later require it"
    return f"{text}: issue it anew with {extension}"


_UNVERIFIED = "CERTIFICATE_VERIFY_FAILED"
# OpenSSL's own reason, which Python gives before the line of its source.
_REASON = re.compile(r"certificate verify failed: (.{1,100}?)(?: \(_ssl|$)")
_SIGNS = (
    ("Connection refused", "nothing listens there: is the broker running, and is the port right?"),
    ("Name or service not known", "no such host name: correct broker.host or the site's DNS"),
    ("No address associated", "no address for this host name: correct broker.host or the site's DNS"),
    ("name resolution", "the site's DNS does not answer"),
    ("Not authori", _USER),
    ("Bad user name or password", _USER),
    # Alerts are the broker's answer to our certificate; with TLS 1.3 they arrive after the handshake.
    (
        "ALERT_CERTIFICATE_EXPIRED",
        "rejects our certificate as expired: renew broker.tls.certificate, or set the broker's clock",
    ),
    ("ALERT_CERTIFICATE_REVOKED", f"rejects our certificate as revoked: {_OURS}"),
    ("ALERT_UNKNOWN_CA", f"does not trust the authority that issued our certificate: {_OURS}"),
    ("ALERT_UNSUPPORTED_CERTIFICATE", f"does not accept our certificate as a client's: {_OURS}"),
    ("ALERT_BAD_CERTIFICATE", f"rejects our certificate as bad or not valid yet: {_OURS}"),
    ("CERTIFICATE_REQUIRED", "requires a client certificate: set broker.tls.certificate and broker.tls.key"),
    (
        "ALERT_HANDSHAKE_FAILURE",
        "cannot agree on TLS with us: does it require a certificate (broker.tls.certificate and .key)?",
    ),
    ("certificate has expired", "shows a certificate that has expired: renew it, or set this clock right"),
    ("certificate is not yet valid", "shows a certificate that is not valid yet: is this clock right?"),
    ("certificate is not valid for", "shows a certificate for another name than broker.host"),
    # Python 3.13 verifies strictly (VERIFY_X509_STRICT): what openssl makes by default may lack something.
    ("does not include key usage", _strict("authority", "keyUsage=critical,keyCertSign,cRLSign")),
    ("not marked critical", _strict("authority", "basicConstraints=critical,CA:TRUE")),
    ("Missing Authority Key Identifier", _strict("certificate", "authorityKeyIdentifier=keyid")),
    ("Missing Subject Key Identifier", _strict("authority", "subjectKeyIdentifier=hash")),
    (_UNVERIFIED, "shows a certificate that does not verify with broker.tls.ca"),
    ("WRONG_VERSION_NUMBER", "does not speak TLS on this port: remove broker.tls or correct broker.port"),
    ("UNEXPECTED_EOF", "closes the TLS handshake: remove broker.tls or correct broker.port"),
    ("Connection reset", "resets the connection while we connect: is broker.tls right for this port?"),
    (UNPROVED, "no answer in time on the accepted connection: the broker hangs, or a portal is in its place"),
    ("timed out", "no answer in time: the network drops our packets, or the broker hangs"),
    ("Network is unreachable", "the network is unreachable from here"),
    ("No route to host", "the network has no route to it"),
    (SILENT, "acknowledged nothing in time: the link has lost this connection, or the broker hangs"),
    (TOO_LARGE, "sends a packet far larger than any message of ours: is this our broker?"),
    (UNREQUESTED, "sends messages that we did not request (QoS 2): is this our broker?"),
    (UNREAD, "sends without end but reads nothing: it hangs"),
    ("Unspecified error", CLOSED),
    ("protocol", "violates the MQTT protocol: is this our broker, or is the link damaged?"),
)
_HUNG_UP_ON_PLAIN = (
    "closes the connection at once: does this port require TLS (set broker.tls), or is it not MQTT?"
)
_HUNG_UP_ON_TLS = (
    "closes the connection at once: it may require a certificate that it trusts "
    "(broker.tls.certificate and broker.tls.key)"
)


def explain(error: BaseException, place: str, *, tls: bool) -> str:
    """Explain the end of a connection to ``place`` without secrets: whose fault it is, and what to do."""
    text = str(error)
    if text == HUNG_UP:
        return f"{place}: {_HUNG_UP_ON_TLS if tls else _HUNG_UP_ON_PLAIN}"
    for sign, words in _SIGNS:
        if sign.lower() in text.lower():
            why = _REASON.search(text) if sign == _UNVERIFIED else None
            return f"{place}: {words}" + (f" ({why[1]})" if why else "")
    return f"{place}: {text or type(error).__name__}"
