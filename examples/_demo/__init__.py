"""The parts of `examples/demo.py`, in the order in which it uses them."""
