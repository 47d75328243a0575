"""A wire of known delay: a TUN device, and a process that holds each packet for its time.

Packets that the router sends to the device are read by the process (``wire_process``), held as
:class:`lab.links.line.Line` says, and written back to the same device, where they arrive as if from a line.
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
    """One direction's wire in ``namespace``; ``device`` is there after entering, and gone after the block.

    ``settings``: delay, jitter, reordering and seed. ``start`` begins to carry, once the device has been set
    up. Raises KernelLinkError when the kernel refuses.
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
                f"a wire needs a TUN device ({error.strerror}): `modprobe tun` loads it"
            ) from None
        self._leaving.callback(os.close, self._descriptor)
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.close()

    def start(self) -> None:
        """Carry packets from now on. The device must be up."""
        self._process = self._leaving.enter_context(_started(self._descriptor, self._settings))
        if not _ready(self._process):
            raise KernelLinkError(f"the wire's process did not start within {START_S:g} s")

    def check(self) -> None:
        """Raises KernelLinkError if nobody carries any more."""
        if self._process.poll() is not None:
            raise KernelLinkError(f"the wire's process has ended (status {self._process.returncode})")


def _device(name: str) -> int:
    """A TUN device of the namespace this thread is in; it is gone when nobody holds the descriptor."""
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
    """The process, tied to this one: it cannot outlive it."""
    wanted = {name: getattr(settings, name) for name in wire_process.TAKEN}
    program = (sys.executable, "-m", wire_process.__name__, str(descriptor), json.dumps(wanted))
    process = subprocess.Popen(  # noqa: S603 -- our own command, no shell
        (sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *program),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        pass_fds=(descriptor,),
        # The terminal's Ctrl-C is not for it: who set the wire up removes it.
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()


def _ready(process: "subprocess.Popen[bytes]") -> bool:
    """Wait for the sign that packets are being carried."""
    output = process.stdout
    return (
        output is not None and bool(select.select([output], [], [], START_S)[0]) and bool(output.readline())
    )
