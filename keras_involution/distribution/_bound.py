"""Becomes a command that does not outlive the process that started it.

Run by its path, `python -I -S _bound.py PARENT COMMAND ...`, so that nothing has to be
done between fork and exec, which is not safe where there are threads. Linux alone.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


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
