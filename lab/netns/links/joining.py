"""Ends that join what arrives, as drivers of network cards do (GRO); without it a link hands over singly."""

import subprocess

from lab.netns.links.link import KernelLink
from lab.netns.names import End
from lab.netns.places import INTERFACE, LEAVES_BY
from lab.netns.requirements import KernelLinkError
from lab.programs import installed

_JOINING = [
    *((End.ROUTER, device, "tso", "off") for device in LEAVES_BY.values()),
    (End.SITE, INTERFACE, "gro", "on"),
    (End.FAR, INTERFACE, "gro", "on"),
]
"""A veth device joins only what its other half cannot have joined (``veth_skb_is_eligible_for_gro``)."""


def join_arrivals(link: KernelLink) -> None:
    """Let both ends of a link that is up join packets. They still cross the line one at a time.

    Raises KernelLinkError without ethtool, or when a device refuses.
    """
    if lacking := installed.lacking({"ethtool": "ethtool"}):
        raise KernelLinkError(*lacking)
    for end, device, *switch in _JOINING:
        command = link.inside(end, "ethtool", "-K", device, *switch)
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 -- our own arguments
        except subprocess.CalledProcessError as error:
            raise KernelLinkError(f"ethtool: {device}: {error.stderr.strip()}") from None
