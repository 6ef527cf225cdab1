"""`python -m keras_involution.cli`, where the command is not on the path."""

from keras_involution.cli import main

main(prog_name="keras-involution")
