"""Starts a plotter so that nothing that befalls us reaches it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from common.names import STATE_VARIABLE as STATE_VARIABLE

# A plotter carries these two in its environment: they say whose it is when all else is forgotten.
TASK_ID_VARIABLE = "PLOTMAN_TASK_ID"
NICENESS = 15  # what plotman 0.5.3 gave its plotters


def launch(argv: Sequence[str], log: Path, task_id: str, state_dir: Path) -> subprocess.Popen[bytes]:
    """Start `argv` in a session of its own, its output going to `log`.

    `nice` becomes the plotter (it execs), so no thread is ever started at the wrong niceness.
    Raises OSError when the log cannot be opened or `nice` is missing; a missing plotter is told in the log.
    """
    environment = os.environ | {TASK_ID_VARIABLE: task_id, STATE_VARIABLE: str(state_dir)}
    with log.open("ab") as output:
        return subprocess.Popen(
            ["nice", "-n", str(NICENESS), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            close_fds=True,
            env=environment,
            cwd="/",
        )
