"""Execute COMMAND so that the kernel stops it when PARENT dies: `python -m MODULE PARENT COMMAND...`.

A killed supervisor cannot stop its processes, so the kernel does it. Plotters are not affected: a fork does
not inherit this setting (prctl(2), PR_SET_PDEATHSIG). It is a program of its own because `preexec_fn` is
unsafe in a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _stop_when_parent_dies() -> None:
    """Ask the kernel for SIGTERM at our parent's death; exec keeps the setting. Linux only."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_PDEATHSIG): {os.strerror(number)}")


def main(argv: list[str]) -> None:
    """Execute `argv[1:]`, or exit if the supervisor, `argv[0]`, has already died."""
    parent, *command = argv
    _stop_when_parent_dies()
    if os.getppid() != int(parent):  # it died before prctl
        raise SystemExit(f"the supervisor {parent} has ended; {command[0]} is not started")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
