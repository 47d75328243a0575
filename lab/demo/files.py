"""Settings files of the demo for the real programs, in their own formats and checked by their own readers."""

import csv
import secrets
from pathlib import Path

import yaml

from agent import configuration
from collector import settings as collector_settings
from collector.model.inventory import COLUMNS
from lab.demo.sites import FLOOR_BPS, SITES, DemoLine, DemoSite
from lab.programs.places import PEER_HOST, Places
from peer import settings as peer_settings

# Denser than at a real site (hourly floor tests, a train of 20 packets a minute): figures appear within the
# first minute.
FLOOR_EVERY_S = 30
TRAIN_EVERY_S = 10
TRAIN_PACKETS = 200
TRAIN_SPACING_MS = 10
FIRST_WITHIN_S = 6
BATCH_EVERY_S = 2

PEER_NAME = "demo-peer"
KEY_ID = 1
KEY_BYTES = 24


class Files:
    """Files in one directory, which contains the demo's key and must not be readable by others."""

    def __init__(self, directory: Path, places: Places) -> None:
        self.directory = directory
        self._places = places
        self._key = self._write_key()
        self._broker = {"host": PEER_HOST, "port": places.broker_port}

    def counters(self, line: DemoLine) -> Path:
        """Return the directory in which the line's link writes its byte counters."""
        return self.directory / f"link-{line.site.site_id}"

    def peer(self) -> Path:
        """Write and check ``peer.yaml``."""
        path = self._write(
            "peer.yaml",
            {
                "name": PEER_NAME,
                "host": PEER_HOST,
                "udpstp": {"port": self._places.control_port},
                "stamp": {"port": self._places.stamp_port},
                "keys": [{"id": KEY_ID, "key_file": str(self._key)}],
                "broker": self._broker,
                "tests": {"path": str(self.directory / "peer" / "tests.db"), "interval": BATCH_EVERY_S},
                "log_level": "warning",
            },
        )
        peer_settings.load(path)
        return path

    def collector(self) -> Path:
        """Write and check ``collector.yaml`` and the inventory."""
        path = self._write(
            "collector.yaml",
            {
                "inventory": str(self._inventory()),
                "broker": self._broker,
                "ledger": {"path": str(self.directory / "collector" / "ledger.db")},
                "web": {"host": PEER_HOST, "port": self._places.page_port},
                "log_level": "warning",
            },
        )
        collector_settings.load(path)
        return path

    def agent(self, line: DemoLine, link: str) -> Path:
        """Write and check a site's agent settings; ``link`` is the address at which this agent reaches the
        peer.
        """
        own = self.directory / f"agent-{line.site.site_id}"
        path = self._write(
            f"{own.name}.yaml",
            {
                "site": line.site.site_id,
                "peer": {
                    "name": PEER_NAME,
                    "host": link,
                    "udpstp_port": self._places.control_port,
                    "stamp_port": self._places.stamp_port,
                    "key_id": KEY_ID,
                    "key_file": str(self._key),
                },
                "floor": {"down": FLOOR_BPS, "up": FLOOR_BPS},
                "stamp": _stamp(line.site),
                "schedule": {
                    "floor": FLOOR_EVERY_S,
                    "stamp": TRAIN_EVERY_S,
                    "capacity": None,  # a search fills each line for 20 s and disturbs the trains
                    "path": None,
                    "first_within": FIRST_WITHIN_S,
                },
                "line_counters": {"source": "directory", "path": str(self.counters(line))},
                "broker": self._broker,
                "uplink": {"interval": BATCH_EVERY_S},
                "journal": {"path": str(own / "journal.db")},
                "runtime_directory": str(own / "run"),
                "log_level": "warning",
            },
        )
        configuration.load(path)
        return path

    def _write_key(self) -> Path:
        path = self.directory / "peer.key"
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(KEY_BYTES), encoding="ascii")
        return path

    def _inventory(self) -> Path:
        path = self.directory / "sites.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(COLUMNS)
            rows.writerows(_inventory_row(site) for site in SITES)
        return path

    def _write(self, name: str, document: object) -> Path:
        path = self.directory / name
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return path


def _stamp(site: DemoSite) -> dict[str, object]:
    return {
        "classes": [{"name": name, "dscp": dscp} for dscp, name in site.dscps.items()],
        "packets": TRAIN_PACKETS,
        "spacing": f"{TRAIN_SPACING_MS} ms",
        "timeout": "1 s",
    }


def _inventory_row(site: DemoSite) -> tuple[object, ...]:
    place = (site.departement, site.commune, site.pop, site.supplier, site.latitude, site.longitude)
    return (site.site_id, site.name, site.category, *place, FLOOR_BPS, FLOOR_BPS)
