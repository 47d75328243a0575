"""Wire of known delay: a TUN device, and a process that delays each packet.

The process (``wire_process``) reads the packets that the router sends to the device. It delays them as
:class:`lab.links.line.Line` computes, and writes them back to the same device.
"""

import contextlib
import fcntl
import json
import os
import select
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import Self

from lab.links.line import LineSettings
from lab.netns import inside
from lab.netns.links import wire_process
from lab.netns.requirements import KernelLinkError
from lab.programs import tether

START_S = 15.0
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_INTERFACE_REQUEST = struct.Struct("16sH22x")


class Wire:
    """Wire of one direction in ``namespace``; its ``device`` exists inside the block.

    ``settings``: delay, jitter, reordering and seed. Raises KernelLinkError when the kernel refuses.
    """

    def __init__(self, namespace: str, device: str, settings: LineSettings) -> None:
        self.device = device
        self._namespace = namespace
        self._settings = settings
        self._leaving = contextlib.ExitStack()
        self._descriptor = -1
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        try:
            self._descriptor = inside.opened(self._namespace, lambda: _device(self.device))
        except OSError as error:
            raise KernelLinkError(
                f"cannot open a TUN device ({error.strerror}): load its module with `modprobe tun`"
            ) from None
        self._leaving.callback(os.close, self._descriptor)
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.close()

    def start(self) -> None:
        """Start to carry packets. The device must be up."""
        self._process = self._leaving.enter_context(_started(self._descriptor, self._settings))
        if not _ready(self._process):
            raise KernelLinkError(f"the process of a wire did not start within {START_S:g} s")

    def check(self) -> None:
        """Raise KernelLinkError if the process has ended."""
        if self._process.poll() is not None:
            raise KernelLinkError(f"the process of a wire has ended (status {self._process.returncode})")


def _device(name: str) -> int:
    """Create a TUN device in this thread's namespace; the kernel removes it with its descriptor."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        request = _INTERFACE_REQUEST.pack(name.encode(), _IFF_TUN | _IFF_NO_PI)
        fcntl.ioctl(descriptor, _TUNSETIFF, request)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def _started(descriptor: int, settings: LineSettings) -> "Iterator[subprocess.Popen[bytes]]":
    """Start the process of a wire, and end it with the block."""
    wanted = {name: getattr(settings, name) for name in wire_process.TAKEN}
    program = (sys.executable, "-m", wire_process.__name__, str(descriptor), json.dumps(wanted))
    process = subprocess.Popen(  # noqa: S603 -- our own command, no shell
        (sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *program),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        pass_fds=(descriptor,),
        # The terminal's Ctrl-C must not reach it: the owner of the wire ends it.
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()


def _ready(process: "subprocess.Popen[bytes]") -> bool:
    """Wait for the first line of output, which says that packets are carried."""
    output = process.stdout
    return (
        output is not None and bool(select.select([output], [], [], START_S)[0]) and bool(output.readline())
    )
