"""All parts of the benchmark, in the order of their tables."""

from lab.accuracy.part import Part

PARTS: tuple[Part, ...] = (
    Part(
        "rtt",
        "How far is a round-trip time from the link's own log of the very packet?",
        "lab.accuracy.rtt",
        6,
        {"ping": "iputils-ping", "irtt": "irtt"},
    ),
    Part(
        "loss",
        "Is every lost or overtaken packet found, and in its direction?",
        "lab.accuracy.loss",
        6,
        {"ping": "iputils-ping", "irtt": "irtt"},
        alone=False,
    ),
    Part(
        "floor",
        "Is a line of known rate at least as fast as the floor?",
        "lab.accuracy.floor",
        8,
        {"iperf3": "iperf3"},
    ),
    Part(
        "cross",
        "Is the verdict right beside the site's own traffic, under loss, behind a bucket or a policer?",
        "lab.accuracy.cross",
        6,
        {"iperf3": "iperf3"},
        alone=False,
    ),
)


def named(name: str) -> Part | None:
    """The part of this name."""
    return next((part for part in PARTS if part.name == name), None)
