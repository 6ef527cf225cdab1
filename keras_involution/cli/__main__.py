"""Runs the command `keras-involution` as `python -m keras_involution.cli`."""

from keras_involution.cli import main

main(prog_name="keras-involution")
