"""Runs commands that end with the process that started them.

This file is also run as a script, `python -I -S bound.py PARENT COMMAND ...`, because
running code between fork and exec is not safe in a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def bound_command(command: list[str]) -> list[str]:
    """The command line of a child process that the kernel kills when this process ends.

    This works however the process ends, including SIGKILL, and also if `os.execv`
    replaces it and the new program starts the child. On systems other than Linux, the
    command is returned unchanged.
    """
    if not sys.platform.startswith("linux"):
        return command
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def main(parent: int, command: list[str]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # The parent ended before prctl was called.
        sys.exit("The process that started this one is gone.")
    try:
        os.execvp(command[0], command)  # Keeps the setting of prctl.
    except OSError as error:
        sys.exit(f"{command[0]} cannot be run: {error}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
