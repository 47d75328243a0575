import pytest

from net import mqtt_errors

CERTIFICATE = "[SSL: CERTIFICATE_VERIFY_FAILED]"
MISMATCH = "IP address mismatch, certificate is not valid for '127.0.0.1'"


@pytest.mark.parametrize(("text", "words"), [
    ("[code:135] Not authorized", "refuses this user name or password"),
    (f"{CERTIFICATE} self-signed", "shows a certificate that does not verify with broker.tls.ca"),
    (f"{CERTIFICATE} certificate verify failed: unable to get local issuer certificate (_ssl.c:1006)",
     "shows a certificate that does not verify with broker.tls.ca (unable to get local issuer certificate)"),
    (f"{CERTIFICATE} certificate verify failed: CA cert does not include key usage extension (_ssl.c:1020)",
     "its authority (broker.tls.ca) lacks keyUsage as Python 3.13 and later require it: issue it anew"),
    (f"{CERTIFICATE} certificate verify failed: Missing Authority Key Identifier (_ssl.c:1020)",
     "its certificate lacks authorityKeyIdentifier"),
    ("[SSL: WRONG_VERSION_NUMBER]", "does not speak TLS on this port"),
    ("[Errno -2] Name or service not known", "no such host name"),
    ("Operation timed out", "no answer in time"),
    (f"{CERTIFICATE} certificate has expired", "shows a certificate that has expired"),
    (f"{CERTIFICATE} certificate is not yet valid", "shows a certificate that is not valid yet"),
    (f"{CERTIFICATE} {MISMATCH}", "shows a certificate for another name than broker.host"),
    ("[SSL: UNEXPECTED_EOF_WHILE_READING]", "closes the TLS handshake"),
    ("[Errno 104] Connection reset by peer", "resets the connection while we connect"),
    ("[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] sslv3 alert", "rejects our certificate as expired"),
    ("[SSL: SSLV3_ALERT_CERTIFICATE_REVOKED]", "rejects our certificate as revoked"),
    ("[SSL: SSLV3_ALERT_BAD_CERTIFICATE]", "rejects our certificate as bad or not valid yet"),
    (mqtt_errors.SILENT, "acknowledged nothing in time"),
    ("[code:130] Protocol error", "violates the MQTT protocol"),
    ("[code:128] Unspecified error", "closed the connection"),
    ("something new", "something new"),
])  # fmt: skip
def test_the_end_of_a_connection_is_explained(text: str, words: str) -> None:
    explained = mqtt_errors.explain(OSError(text), "broker mqtt.example:8883", tls=True)
    assert explained.startswith(f"broker mqtt.example:8883: {words}")
