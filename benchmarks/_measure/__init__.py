"""What the benchmarks share: devices, timing, floors, formulations, reports."""
