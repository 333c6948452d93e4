"""What a test needs and this machine does not offer."""

from __future__ import annotations

import os
from typing import NoReturn

import psutil
import pytest

from plotter_worker.processes.table import ProcessTable


def lacking(why: str) -> NoReturn:
    """Skip on a laptop, fail in CI, which is to have all that ./deploy/test brings along."""
    if os.environ.get("CI"):
        pytest.fail(f"{why}: run ./deploy/test")
    pytest.skip(f"{why}: run ./deploy/test")


def leave_others_alone() -> None:
    """Before verbs that act on all plots: skips or fails where plotters run that every plotman takes for a
    user's, since they carry no other plotman's mark, and that these tests have not started. In the process
    table of its own that ./deploy/test gives the tests there are none."""
    if others := strangers():
        lacking(f"plotters of yours run on this machine ({', '.join(map(str, others))})")


def strangers() -> list[int]:
    """Pids of such plotters. All that a run of pytest has started stems from its first process."""
    first = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    unmarked = [found.pid for found in ProcessTable().newcomers(set()) if found.state_dir is None]
    return [pid for pid in unmarked if first not in _ancestors(pid)]


def _ancestors(pid: int) -> list[int]:
    """Of one that has ended meanwhile: the caller itself, since it is nobody's concern any more."""
    try:
        return [parent.pid for parent in psutil.Process(pid).parents()]
    except psutil.NoSuchProcess:
        return [os.getpid(), os.getppid()]
