"""Sites whose resolver is dead, slow or lying, beside sites without a line, all with the real programs."""

import re
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lab.testbed.resolver import SLOW_S, ResolverBehaviour, resolving
from tests.brokers import mosquitto
from tests.processes import free_port, wait_until
from tests.test_peer_comparison import SECRET, peer_settings, program, write

PORTAL = "portal.example.fr"
NAMES = {PORTAL: ("192.0.2.10", "2001:db8::10")}
RESOLVER = "127.0.0.1"
WITHIN_S = 300.0

pytestmark = pytest.mark.timeout(400)

BEHAVIOURS = {
    "fine": ResolverBehaviour.RIGHT,
    "dead": ResolverBehaviour.DEAD,
    "slow": ResolverBehaviour.SLOW,
    "lying": ResolverBehaviour.LYING,
    "no-line": ResolverBehaviour.RIGHT,
    "nothing": ResolverBehaviour.DEAD,
}
WITHOUT_LINE = ("no-line", "nothing")

Labels = dict[str, str]


class CollectorViews:
    """Page and metrics of the running collector."""

    def __init__(self, port: int) -> None:
        self._place = f"http://127.0.0.1:{port}"

    def page(self, site: str, language: str = "en") -> str:
        """Words below one site."""
        text = re.sub(r"<[^>]*>", " ", self._get(f"/?q={site}&lang={language}"))
        return " ".join(text.replace("&#39;", "'").split())

    def samples(self, name: str, site: str) -> list[tuple[Labels, float]]:
        """Samples of one family, as the newest scrape has them."""
        return [
            (sample.labels, sample.value)
            for family in text_string_to_metric_families(self._get("/metrics"))
            for sample in family.samples
            if sample.name == name and sample.labels.get("site_id") == site
        ]

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(self._place + path, timeout=20) as answer:
            return str(answer.read().decode())


def agent_settings(folder: Path, site: str, broker: int, stamp: int, resolver: int) -> str:
    """Settings in a folder of the site's own: files stand beside the journal."""
    document = {
        "site": site,
        "peer": {"name": "pop-1", "host": "127.0.0.1", "stamp_port": stamp, "key_id": 1, "key": SECRET},
        "floor": {"down": None, "up": None},
        "stamp": {"packets": 5, "spacing": "100 ms", "timeout": "1 s"},
        "schedule": {
            "stamp": "10 s",
            "dns": "30 s",
            "reachability": "1 s",
            "interface": None,
            "capacity": None,
            "path": None,
            "first_within": "1 s",
        },
        "dns": {
            "names": [{"name": PORTAL, "expect": ["192.0.2.0/24", "2001:db8::/64"]}],
            "resolvers": [RESOLVER],
            "port": resolver,
            "timeout": f"{2 * SLOW_S:g} s",
        },
        "broker": {"port": broker},
        "uplink": {"interval": "1 s", "backlog_interval": "1 s", "receipt_timeout": "5 s"},
        "journal": {"path": str(folder / "journal.db")},
        "runtime_directory": str(folder / "run"),
    }
    return write(folder / "agent.yaml", document)


def collector_settings(folder: Path, broker: int, page: int) -> str:
    (folder / "sites.csv").write_text("site_id,name\n" + "".join(f"{site},{site}\n" for site in BEHAVIOURS))
    document = {
        "inventory": str(folder / "sites.csv"),
        "broker": {"port": broker},
        "ledger": {"path": str(folder / "ledger.db")},
        "web": {"port": page},
    }
    return write(folder / "collector.yaml", document)


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes packets and never answers, as at the far end of a dead line."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CollectorViews]:
    """Six sites, measured until each one's newest run of names and its trains are at the collector."""
    folder = tmp_path_factory.mktemp("resolvers")
    page, ports = free_port(), (free_port(), free_port())
    with mosquitto(folder) as broker, ExitStack() as at_the_end:
        enter = at_the_end.enter_context
        dead = enter(silent_port())
        enter(program(folder, "collector", collector_settings(folder, broker.port, page), "connected"))
        enter(program(folder, "peer", peer_settings(folder, broker.port, ports), "serving"))
        for site, behaviour in BEHAVIOURS.items():
            resolver = free_port()
            enter(resolving(NAMES, resolver, RESOLVER, behaviour))
            stamp = dead if site in WITHOUT_LINE else ports[1]
            own = folder / site
            own.mkdir()
            chosen = agent_settings(own, site, broker.port, stamp, resolver)
            enter(program(own, "agent", chosen, sign=""))  # all start at the same time
        made = CollectorViews(page)
        wait_until(lambda: all(is_measured(made, site) for site in BEHAVIOURS), "all are measured", WITHIN_S)
        yield made


def is_measured(views: CollectorViews, site: str) -> bool:
    line = "qos_outage_begin_timestamp_seconds" if site in WITHOUT_LINE else "qos_rtt_seconds"
    # A train that nobody answers ends later than the outage begins.
    trains = [
        labels for labels, _ in views.samples("qos_measurements_total", site) if labels["probe"] == "stamp"
    ]
    return bool(trains and views.samples("qos_dns_names", site) and views.samples(line, site))


def failed_names(views: CollectorViews, site: str) -> dict[str, float]:
    return {labels["failure"]: value for labels, value in views.samples("qos_dns_failed_names", site)}


def answered(views: CollectorViews, site: str) -> float:
    ((labels, ratio),) = views.samples("qos_dns_resolver_answered_ratio", site)
    assert labels["resolver"] == RESOLVER
    return ratio


def slowest_s(views: CollectorViews, site: str) -> float:
    return max((value for _, value in views.samples("qos_dns_answer_seconds", site)), default=0.0)


@pytest.mark.parametrize(
    ("site", "failures", "ratio", "english", "french"),
    [
        ("fine", {}, 1, None, None),
        (
            "dead",
            {"no-answer": 1},
            0,
            f"DNS: resolver {RESOLVER} answers nothing within 5000 ms",
            f"le résolveur {RESOLVER} ne répond à rien en 5000 ms",
        ),
        ("slow", {}, 1, f"DNS: resolver {RESOLVER} takes ", f"le résolveur {RESOLVER} met "),
        (
            "lying",
            {"wrong-answer": 1},
            1,
            f"DNS: {PORTAL}: wrong answer from {RESOLVER}",
            f"mauvaise réponse de {RESOLVER}",
        ),
        ("no-line", {}, 1, None, None),
        (
            "nothing",
            {"no-answer": 1},
            0,
            f"DNS: resolver {RESOLVER} answers nothing",
            f"le résolveur {RESOLVER} ne répond à rien",
        ),
    ],
)
def test_a_bad_resolver_is_told_by_name_and_apart_from_the_line(
    views: CollectorViews,
    site: str,
    failures: dict[str, float],
    ratio: float,
    english: str | None,
    french: str | None,
) -> None:
    assert failed_names(views, site) == failures
    assert answered(views, site) == ratio
    assert (slowest_s(views, site) >= SLOW_S) is (site == "slow")
    page, page_in_french = views.page(site), views.page(site, "fr")
    if english is None or french is None:
        assert "DNS" not in page
    else:
        assert english in page
        assert french in page_in_french
    assert_line(views, site, page)


def assert_line(views: CollectorViews, site: str, page: str) -> None:
    """Require an outage and failed trains where there is no line, and only there."""
    has_line = site not in WITHOUT_LINE
    assert bool(views.samples("qos_rtt_seconds", site)) is has_line
    assert bool(views.samples("qos_outage_begin_timestamp_seconds", site)) is not has_line
    assert ("last latency train: no answer" in page) is not has_line
    states = {labels["state"] for labels, value in views.samples("qos_site_state", site) if value}
    assert states == {"waiting"}, "neither silent nor below a floor that nobody tested"
