"""Signals to children of asyncio."""

from __future__ import annotations

import os
import signal
from asyncio.subprocess import Process
from contextlib import suppress


def send(process: Process, number: signal.Signals) -> None:
    """Signal a child, unless it has ended.

    Not by `Process.send_signal` or `Process.kill`, which reap a child that has just ended (CPython's issue
    87744). asyncio then does not learn its exit code, takes 255 for it, and writes "Unknown child process".
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
