"""Commands that do not outlive the process that started them.

This file is also run by its path, `python -I -S bound.py PARENT COMMAND ...`, so that
nothing has to be done between fork and exec, which is not safe where there are threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def bound_command(command: list[str]) -> list[str]:
    """The command line of a child that the kernel kills when this process ends.

    It holds however this process ends, SIGKILL included, and also where it is
    replaced by `os.execv` and its successor starts the child. Linux alone can do it;
    elsewhere the command is returned as it is.
    """
    if not sys.platform.startswith("linux"):
        return command
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def main(parent: int, command: list[str]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # It died before it could be watched.
        sys.exit("The process that started this one is gone.")
    try:
        os.execvp(command[0], command)  # keeps what prctl has set
    except OSError as error:
        sys.exit(f"{command[0]} cannot be run: {error}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
