"""Become another program that does not outlive the process that started it.

``tether.py PARENT PROGRAM ARGUMENT...``: when the process PARENT ends, however it ends, the kernel sends the
program SIGTERM (prctl(2), PR_SET_PDEATHSIG). It runs as a file, not as a module: the program starts without
any import of the lab.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel for the signal and become the program; exit at once if the parent has ended already."""
    parent, *command = sys.argv[1:]
    # The setting survives execve. It comes before the check: a parent that ends in between is then noticed.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() == int(parent):
        os.execv(command[0], command)  # noqa: S606 -- the command is the lab's own, no shell


if __name__ == "__main__":
    main()
