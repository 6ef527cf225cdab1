"""Programs that run as they are, on the images in `examples/data`."""
