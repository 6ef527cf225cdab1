"""Modules shared by the benchmarks."""
