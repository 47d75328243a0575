"""Why a connection to the broker ended, or never was: whose fault, and what to do, in one line."""

HUNG_UP = "hung up before it answered"
CLOSED = "closed the connection"
SILENT = "acknowledged nothing"
TOO_LARGE = "a packet beyond the bound"
UNASKED = "a publication of QoS 2"
UNREAD = "reads nothing of what we send"

_USER = "refuses this user name or password: see broker.username and broker.password_file"
_OURS = "see broker.tls.certificate"
_SIGNS = (
    ("Connection refused", "nothing listens there: is the broker running, and is the port right?"),
    ("Name or service not known", "no such host name: mend broker.host or the site's DNS"),
    ("No address associated", "no address of this host name: mend broker.host or the site's DNS"),
    ("name resolution", "the site's DNS does not answer"),
    ("Not authori", _USER),
    ("Bad user name or password", _USER),
    # Alerts are the broker's word about our certificate; with TLS 1.3 they come after the handshake.
    (
        "ALERT_CERTIFICATE_EXPIRED",
        "says that our certificate has expired: renew broker.tls.certificate, or mend the broker's clock",
    ),
    ("ALERT_CERTIFICATE_REVOKED", f"says that our certificate was revoked: {_OURS}"),
    ("ALERT_UNKNOWN_CA", f"does not vouch for our certificate, another authority issued it: {_OURS}"),
    ("ALERT_UNSUPPORTED_CERTIFICATE", f"does not take our certificate for a client's: {_OURS}"),
    ("ALERT_BAD_CERTIFICATE", f"takes our certificate for bad, or for not valid yet: {_OURS}"),
    ("CERTIFICATE_REQUIRED", "asks for a client certificate: set broker.tls.certificate and broker.tls.key"),
    (
        "ALERT_HANDSHAKE_FAILURE",
        "agrees on no TLS with us: does it ask for a client certificate (broker.tls.certificate and .key)?",
    ),
    ("certificate has expired", "shows a certificate that has expired: renew it, or set this clock right"),
    ("certificate is not yet valid", "shows a certificate that is not valid yet: is this clock right?"),
    ("certificate is not valid for", "shows a certificate for another name than broker.host"),
    ("CERTIFICATE_VERIFY_FAILED", "shows a certificate that broker.tls.ca does not vouch for"),
    ("WRONG_VERSION_NUMBER", "does not speak TLS on this port: remove broker.tls or mend broker.port"),
    ("UNEXPECTED_EOF", "hangs up on TLS: remove broker.tls or mend broker.port"),
    ("Connection reset", "hangs up while we connect: is broker.tls right for this port?"),
    ("timed out", "no answer in time: the network drops it, or the broker hangs"),
    ("Network is unreachable", "the network is unreachable from here"),
    ("No route to host", "the network has no route there"),
    (SILENT, "acknowledged nothing in time: the link forgot this connection, or the broker hangs"),
    (TOO_LARGE, "sends a packet far larger than any message of ours: is this our broker?"),
    (UNASKED, "sends what was not asked for (QoS 2): is this our broker?"),
    (UNREAD, "sends without end and reads nothing: it hangs"),
    ("Unspecified error", CLOSED),
    ("protocol", "speaks no MQTT that makes sense: is this our broker, or is the link damaged?"),
)
_HUNG_UP_ON_PLAIN = "hangs up at once: does this port want TLS (set broker.tls), or speak no MQTT at all?"
_HUNG_UP_ON_TLS = (
    "hangs up at once: it may want a certificate that it vouches for "
    "(broker.tls.certificate and broker.tls.key)"
)


def explain(error: BaseException, place: str, *, tls: bool) -> str:
    """Whose fault the end of a connection to ``place`` was, and what to do about it, without secrets."""
    text = str(error)
    if text == HUNG_UP:
        return f"{place}: {_HUNG_UP_ON_TLS if tls else _HUNG_UP_ON_PLAIN}"
    for sign, words in _SIGNS:
        if sign.lower() in text.lower():
            return f"{place}: {words}"
    return f"{place}: {text or type(error).__name__}"
