"""Become COMMAND, stopped by the kernel when PARENT dies: `python -m MODULE PARENT COMMAND...`.

A runner that is killed cannot stop its processes; the kernel does it then. They are only ours: plotters
are started by the plotter worker in sessions of their own, and a fork does not inherit this setting
(prctl(2), PR_SET_PDEATHSIG). A program of its own does this, because `preexec_fn` is unsafe in a process
that has threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _stop_when_parent_dies() -> None:
    """Ask the kernel for SIGTERM at our parent's death; kept over exec. Only Linux has this."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_PDEATHSIG): {os.strerror(number)}")


def main(argv: list[str]) -> None:
    """Become `argv[1:]`. `argv[0]` is the runner's pid: if it is gone already, nothing is started."""
    parent, *command = argv
    _stop_when_parent_dies()
    if os.getppid() != int(parent):  # it died before the kernel knew whom to watch
        raise SystemExit(f"the runner {parent} is gone; not starting {command[0]}")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
