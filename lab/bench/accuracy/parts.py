"""All parts of the benchmark, in the order of their tables."""

from lab.bench.accuracy.part import Part

PARTS: tuple[Part, ...] = (
    Part(
        "rtt",
        "How far is a round-trip time from the link's own log of the same packet?",
        "lab.bench.accuracy.cases.rtt",
        6,
        {"ping": "iputils-ping", "irtt": "irtt"},
    ),
    Part(
        "loss",
        "Is every lost or reordered packet counted, and in its own direction?",
        "lab.bench.accuracy.cases.loss",
        6,
        {"ping": "iputils-ping", "irtt": "irtt"},
        alone=False,
    ),
    Part(
        "floor",
        "Is a line of known rate at least as fast as the floor?",
        "lab.bench.accuracy.cases.floor",
        7,
        {"iperf3": "iperf3"},
    ),
    Part(
        "cross",
        "Is the verdict right beside the site's own traffic, under loss, behind a bucket or a policer?",
        "lab.bench.accuracy.cases.cross",
        4,
        {"iperf3": "iperf3"},
        alone=False,
    ),
    Part(
        "disturbed",
        "Is a verdict ever wrong because a machine was stopped or busy?",
        "lab.bench.accuracy.cases.disturbed",
        2,
        {"iperf3": "iperf3"},
    ),
    Part(
        "capacity",
        "How near is a capacity search to the rate of the line, and what does a load cost?",
        "lab.bench.accuracy.cases.capacity",
        6,
        {"iperf3": "iperf3", "ethtool": "ethtool"},
    ),
    Part(
        "agent",
        "How much memory and processor time does the resident agent need, with all probes?",
        "lab.bench.accuracy.cases.agent",
        2,
        {"mosquitto": "mosquitto", "openssl": "openssl"},
    ),
    Part(
        "path",
        "Does the path probe find the routers, and what they do to packets?",
        "lab.bench.accuracy.cases.path",
        1,
        {},
        alone=False,
    ),
)


def named(name: str) -> Part | None:
    """Return the part of this name, or None."""
    return next((part for part in PARTS if part.name == name), None)
