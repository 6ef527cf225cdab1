"""What the benchmarks share: formulations, networks, reports."""
