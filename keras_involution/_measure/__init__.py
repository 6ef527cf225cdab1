"""What the benchmarks and the command `benchmark` share: devices, timing, floors."""
