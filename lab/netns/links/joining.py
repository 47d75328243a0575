"""Generic receive offload (GRO) at both ends of a link, as drivers of network cards do it.

Without GRO a kernel link delivers every packet singly.
"""

import subprocess

from lab.netns.links.link import KernelLink
from lab.netns.names import LinkNode
from lab.netns.places import INTERFACE, LEAVES_BY
from lab.netns.requirements import KernelLinkError
from lab.programs import installed

# A veth device joins only packets that its other half cannot have joined (``veth_skb_is_eligible_for_gro``).
_JOINING = [
    *((LinkNode.ROUTER, device, "tso", "off") for device in LEAVES_BY.values()),
    (LinkNode.SITE, INTERFACE, "gro", "on"),
    (LinkNode.FAR, INTERFACE, "gro", "on"),
]


def join_arrivals(link: KernelLink) -> None:
    """Let both ends of a running link join packets on arrival. They still cross the line one at a time.

    Raises MissingProgramError without ethtool, and KernelLinkError when a device refuses.
    """
    installed.require("ethtool", "ethtool")
    for end, device, *switch in _JOINING:
        command = link.inside(end, "ethtool", "-K", device, *switch)
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 -- our own arguments
        except subprocess.CalledProcessError as error:
            raise KernelLinkError(f"ethtool: {device}: {error.stderr.strip()}") from None
