"""A teacher trained on ImageNet, for `examples/pretrain_tiny_imagenet.py`."""
