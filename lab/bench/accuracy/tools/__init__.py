"""lab.bench.accuracy.tools."""
