"""Sessions against the shipped TLS listener: accepted, refused, and the reported reason."""

import asyncio
import logging
import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import aiomqtt
import pytest

from collector.certificates.authority import Authority, CertificateFiles, Usage
from net import mqtt
from net.mqtt import Broker, Session
from net.tls import Tls, tls_context
from tests.deploy.shipped_broker import Broker as Shipped
from tests.deploy.shipped_broker import shipped_broker
from tests.net.sessions import running, until
from wire.messages.topics import Kind, topic

RECEIPTS = topic("A", Kind.RECEIPTS)


@pytest.fixture(scope="module")
def expired(tmp_path_factory: pytest.TempPathFactory, sites: Authority) -> Iterator[Shipped]:
    """Run a broker whose own certificate has expired."""
    with shipped_broker(tmp_path_factory.mktemp("expired"), ("A",), sites, days=-1) as broker:
        yield broker


def tls(authority: Authority, own: CertificateFiles | None = None) -> Tls:
    ca = str(authority.certificate)
    return Tls(ca) if own is None else Tls(ca, str(own.certificate), str(own.key))


def session(broker: Shipped, files: Tls, synchronised: Callable[[], bool] = mqtt.always) -> Session:
    place = Broker(port=broker.tls_port, tls=files)
    return Session(place, "a", subscriptions=[RECEIPTS], clock_synchronised=synchronised)


async def outcome(tried: Session) -> str | None:
    """Return the problem of the first attempt, None where the broker accepts the session."""
    async with running(tried):
        await until(lambda: tried.problem != "not connected yet")
        return tried.problem


def refusals(sites: Authority, folder: Path, newest: ssl.TLSVersion) -> dict[str, Tls]:
    stranger = Authority(folder / "stranger").make()
    asks = "requires a client certificate: set broker.tls.certificate and broker.tls.key"
    if newest is ssl.TLSVersion.TLSv1_2:  # has no word for it
        asks = "cannot agree on TLS with us: does it require a certificate"
    return {
        asks: tls(sites),
        "does not trust the authority that issued our certificate": tls(sites, stranger.issue("A")),
        "rejects our certificate as expired: renew broker.tls.certificate": tls(
            sites, sites.issue("A", files=CertificateFiles.at(folder, "expired"), days=-1)
        ),
        "shows a certificate that does not verify with broker.tls.ca": tls(stranger, stranger.issue("B")),
        "does not accept our certificate as a client's": tls(
            sites, sites.issue("broker", Usage.SERVER, files=CertificateFiles.at(folder, "server"))
        ),
    }


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_refused_session_reports_the_reason(
    broker: Shipped, sites: Authority, tmp_path: Path, newest: ssl.TLSVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expect the refusal after the TLS 1.3 handshake, in answer to the first packet."""

    def limited(files: Tls) -> ssl.SSLContext:
        context = tls_context(files)
        context.maximum_version = newest
        return context

    monkeypatch.setattr("net.tls.tls_context", limited)
    for words, files in refusals(sites, tmp_path, newest).items():
        found = str(asyncio.run(outcome(session(broker, files))))
        assert found.startswith(f"broker 127.0.0.1:{broker.tls_port}: {words}"), found


def test_an_expired_certificate_of_the_broker_is_reported(expired: Shipped, sites: Authority) -> None:
    own = tls(sites, sites.issue("A", files=CertificateFiles.at(sites.folder, "expired-broker-A")))
    found = asyncio.run(outcome(session(expired, own)))
    assert "shows a certificate that has expired: renew it, or set this clock right" in str(found)


def test_without_a_synchronised_clock_dates_are_ignored_with_a_warning(
    expired: Shipped, sites: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    own = tls(sites, sites.issue("A", files=CertificateFiles.at(sites.folder, "unsynchronised-A")))
    tried = session(expired, own, lambda: False)
    assert asyncio.run(outcome(tried)) is None
    assert not tried.dates_checked
    assert caplog.text.count("this clock is not synchronised") == 1


def test_without_a_synchronised_clock_authority_and_name_count(
    expired: Shipped, sites: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path).make()
    found = asyncio.run(outcome(session(expired, tls(stranger), lambda: False)))
    assert "shows a certificate that does not verify with broker.tls.ca" in str(found)
    place = Broker(host="localhost", port=expired.tls_port, tls=tls(sites))
    found = asyncio.run(outcome(Session(place, "a", clock_synchronised=lambda: False)))
    assert "shows a certificate for another name than broker.host" in str(found)


def test_dates_count_again_once_the_clock_is_synchronised(
    broker: Shipped, expired: Shipped, sites: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "RENEWALS_EVERY_S", 0.1)
    own = tls(sites, sites.issue("A", files=CertificateFiles.at(sites.folder, "synchronised-A")))
    state = {"synchronised": False}

    async def scenario(where: Shipped) -> Session:
        state["synchronised"] = False
        tried = session(where, own, lambda: state["synchronised"])
        async with running(tried):
            await until(lambda: tried.connected)
            state["synchronised"] = True
            await until(lambda: not tried.connected)
            await until(lambda: tried.connected or "expired" in str(tried.problem))
        return tried

    assert asyncio.run(scenario(broker)).dates_checked
    assert "shows a certificate that has expired" in str(asyncio.run(scenario(expired)).problem)


async def test_a_renewed_certificate_is_used_without_a_restart_once_complete(
    broker: Shipped,
    sites: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(mqtt, "RENEWALS_EVERY_S", 0.05)
    caplog.set_level(logging.INFO)
    own = sites.issue("A", files=CertificateFiles.at(tmp_path, "own"))
    new = sites.issue("A", files=CertificateFiles.at(tmp_path, "new"))
    log = broker.directory / "log"

    def connections() -> int:
        return len(re.findall(r"New client connected from \S+ as A ", log.read_text()))

    tried = session(broker, tls(sites, own))
    async with running(tried):
        await until(lambda: tried.connected)
        before = connections()
        own.key.write_bytes(new.key.read_bytes()[:100])
        await until(lambda: "the files read before stay in use" in caplog.text)
        assert tried.connected
        await asyncio.sleep(0.3)
        assert caplog.text.count("the files read before stay in use") == 1
        own.key.write_bytes(new.key.read_bytes())
        own.certificate.write_bytes(new.certificate.read_bytes())
        await until(lambda: connections() > before)
        await until(lambda: tried.connected)
    assert "new files are in use from the next connection on" in caplog.text


def test_with_half_of_a_new_pair_the_old_one_is_used(
    broker: Shipped, sites: Authority, tmp_path: Path
) -> None:
    own = sites.issue("A", files=CertificateFiles.at(tmp_path, "own"))
    tried = session(broker, tls(sites, own))
    own.certificate.write_text("half")

    assert asyncio.run(outcome(tried)) is None


async def test_a_site_cannot_pose_as_the_broker(sites: Authority, tmp_path: Path) -> None:
    """Use a site's certificate for 127.0.0.1 by the right authority; it is no server certificate."""
    posing = sites.issue("A", files=CertificateFiles.at(tmp_path, "posing"), names=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(posing.certificate, posing.key)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        place = Broker(port=server.sockets[0].getsockname()[1], tls=tls(sites))
        found = await outcome(Session(place, "a"))
    assert "shows a certificate that does not verify with broker.tls.ca" in str(found)


async def test_two_clients_with_one_certificate_disconnect_each_other(
    broker: Shipped, sites: Authority
) -> None:
    """Show that a copied certificate is noticed, whatever the client ids are."""
    own = sites.issue("A", files=CertificateFiles.at(sites.folder, "taken-over-A"))
    context = tls_context(tls(sites, own))
    async with broker.tls_client(context, "one") as first, broker.tls_client(context, "two"):
        with pytest.raises(aiomqtt.MqttError):
            await asyncio.wait_for(anext(aiter(first.messages)), 10)


def test_passwords_over_tls_identify_a_site(
    tmp_path_factory: pytest.TempPathFactory, sites: Authority, tmp_path: Path
) -> None:
    """Test the variant that plancher-tls.conf describes."""
    password = tmp_path / "password"
    password.touch(mode=0o600)
    left_out = ("cafile", "require_certificate", "use_identity_as_username")

    async def let_in(broker: Shipped, text: str) -> str | None:
        password.write_text(text)
        place = Broker(port=broker.tls_port, tls=tls(sites), username="A", password_file=str(password))
        return await outcome(Session(place, "a", subscriptions=[RECEIPTS]))

    with shipped_broker(tmp_path_factory.mktemp("passwords"), ("A", "B"), sites, without=left_out) as broker:
        assert asyncio.run(let_in(broker, "A")) is None
        assert "refuses this user name or password" in str(asyncio.run(let_in(broker, "B")))
        log = (broker.directory / "log").read_text()
    assert " as A " in log  # the client id is the name, here too
