"""A teacher with knowledge of ImageNet, for `examples/pretrain_tiny_imagenet.py`."""
