"""Programs that run as they are, on the photographs in `examples/data`."""
