"""Emulated links, the demo and the benchmarks. May import everything; nothing imports the lab."""
