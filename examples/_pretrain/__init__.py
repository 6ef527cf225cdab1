"""Parts of `examples/pretrain_tiny_imagenet.py`."""
