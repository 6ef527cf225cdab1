"""`python -m keras_involution.whale_id.cli`, if the command is not on the path."""

from keras_involution.whale_id.cli import main

main(prog_name="whale-id")
