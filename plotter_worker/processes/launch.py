"""Starts a plotter that is independent of this worker: own session, own output, no open files of ours."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from common.names import STATE_VARIABLE as STATE_VARIABLE

# Variables in a plotter's environment: they identify it if its record is lost.
TASK_ID_VARIABLE = "PLOTMAN_TASK_ID"
# The GPUs that a program sees; the only one that it sees is its number 0. By bus, as nvidia-smi numbers them.
GPU_VARIABLE, _GPU_ORDER = "CUDA_VISIBLE_DEVICES", {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
NICENESS = 15  # what plotman 0.5.3 gave its plotters


def launch(
    argv: Sequence[str], output: BinaryIO, task_id: str, state_dir: Path, gpu: str | None = None
) -> subprocess.Popen[bytes]:
    """Start `argv` in a session of its own, with its output in an open file, and with this GPU only.

    `nice` executes the plotter, so that no thread ever runs at the wrong niceness; it writes to the log if
    the program is missing.

    Raises:
        OSError: `nice` is missing.
    """
    environment = os.environ | {TASK_ID_VARIABLE: task_id, STATE_VARIABLE: str(state_dir)}
    if gpu is not None:
        environment |= {GPU_VARIABLE: gpu, **_GPU_ORDER}
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
