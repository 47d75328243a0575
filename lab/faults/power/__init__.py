"""Power cuts: what a disk would hold if the power went now, and whether the programs start from that.

A workload runs the real journal or ledger in a process whose calls of write, fsync, rename and the like pass
a shim (``shim.c``) that logs them in order. ``disk`` plays that log up to any point and yields the files as
a power cut there could leave them: what was synced stays, what was not is kept, dropped or torn by chance,
and names not synced in their directory may be as they were before. Thousands of cuts come of one log.

May live here: recording, the model of the disk, the workloads, and the check after a cut.
"""
