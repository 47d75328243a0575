"""All parts of the benchmark, in the order of their tables."""

from lab.bench.accuracy.part import Part

PARTS: tuple[Part, ...] = (
    Part(
        "rtt",
        "How far is a round-trip time from the link's own log of the very packet?",
        "lab.bench.accuracy.cases.rtt",
        6,
        {"ping": "iputils-ping", "irtt": "irtt"},
    ),
    Part(
        "loss",
        "Is every lost or overtaken packet found, and in its direction?",
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
        "Is a verdict ever wrong because a machine stood still, or was busy?",
        "lab.bench.accuracy.cases.disturbed",
        2,
        {"iperf3": "iperf3"},
    ),
    Part(
        "capacity",
        "How near is a search to the rate of the line, and what does a load cost?",
        "lab.bench.accuracy.cases.capacity",
        6,
        {"iperf3": "iperf3", "ethtool": "ethtool"},
    ),
    Part(
        "agent",
        "What does the resident agent weigh and work, tests at 1 Gbit/s and path traces included?",
        "lab.bench.accuracy.cases.agent",
        2,
        {"mosquitto": "mosquitto", "openssl": "openssl"},
    ),
    Part(
        "path",
        "Are the routers on the way named rightly, and what they do to packets?",
        "lab.bench.accuracy.cases.path",
        1,
        {},
        alone=False,
    ),
)


def named(name: str) -> Part | None:
    """The part of this name."""
    return next((part for part in PARTS if part.name == name), None)
