"""Runs the command `whale-id` in this process."""

from __future__ import annotations

from click.testing import CliRunner

from keras_involution.whale_id.cli import main


def run(*arguments, status=0) -> str:
    """The output of the command, which must end with `status` and no traceback."""
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == status, (result.output, result.exception)
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output
