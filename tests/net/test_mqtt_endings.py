import pytest

from net import mqtt_endings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[code:135] Not authorized", "refuses this user name or password"),
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed",
            "shows a certificate that broker.tls.ca does not vouch for",
        ),
        ("[SSL: WRONG_VERSION_NUMBER]", "does not speak TLS on this port"),
        ("[Errno -2] Name or service not known", "no such host name"),
        ("Operation timed out", "no answer in time"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired", "shows a certificate that has expired"),
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate is not yet valid",
            "shows a certificate that is not valid yet",
        ),
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] IP address mismatch, certificate is not valid for '127.0.0.1'",
            "shows a certificate for another name than broker.host",
        ),
        ("[SSL: UNEXPECTED_EOF_WHILE_READING]", "hangs up on TLS"),
        ("[Errno 104] Connection reset by peer", "hangs up while we connect"),
        (
            "[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] sslv3 alert certificate expired",
            "says that our certificate has expired",
        ),
        ("[SSL: SSLV3_ALERT_CERTIFICATE_REVOKED]", "says that our certificate was revoked"),
        ("[SSL: SSLV3_ALERT_BAD_CERTIFICATE]", "takes our certificate for bad, or for not valid yet"),
        (mqtt_endings.SILENT, "acknowledged nothing in time"),
        ("[code:130] Protocol error", "speaks no MQTT that makes sense"),
        ("[code:128] Unspecified error", "closed the connection"),
        ("something new", "something new"),
    ],
)
def test_the_end_of_a_connection_is_explained(text: str, words: str) -> None:
    explained = mqtt_endings.explain(OSError(text), "broker mqtt.example:8883", tls=True)
    assert explained.startswith(f"broker mqtt.example:8883: {words}")
