"""Power cuts: files as a cut at any moment could leave them, and a check that the programs start from them.

Lives here: recording, the model of the disk, the workloads, and the check after a cut.
May not live here: other faults (``lab.faults.scenarios``), and accounts (``lab.faults.accounts``).
Imported by: ``lab.faults.parts`` and tests.

A workload runs the real journal or ledger. A shim (``shim.c``) in its process logs each call of write, fsync,
rename and the like, in order. ``disk`` replays that log up to any point and returns possible
files after a cut. Synced data stays; other data is kept, dropped or torn at random; names not synced in their
directory may be the old ones. One log is enough for thousands of cuts.
"""
