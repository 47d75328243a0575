"""Become another program that does not outlive the process that started it.

``tether.py PARENT PROGRAM ARGUMENT...``: when the process PARENT ends, however it ends, the kernel sends the
program SIGTERM. Run as a file of its own, so that a program starts with nothing of the lab in it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel for the signal and become the program; leave at once if the parent is gone already."""
    parent, *command = sys.argv[1:]
    # The wish survives execve; it must precede the question, or a parent ending in between goes unnoticed.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() == int(parent):
        os.execv(command[0], command)  # noqa: S606 -- the command is the lab's own, no shell


if __name__ == "__main__":
    main()
