"""lab.bench.accuracy.cases."""
