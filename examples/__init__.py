"""Example programs; most of them run on the images in `examples/data`."""
