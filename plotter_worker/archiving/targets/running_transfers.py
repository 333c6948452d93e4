"""Transfers to a target that run already: by an archiver that is gone, by 0.5.3, or by hand."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import psutil

# In the environment of each transfer script that we start: whose it is.
MARK = "PLOTMAN_TARGET_TRANSFER"


def running(process_name: str, argument_prefix: str, owner: str) -> list[psutil.Process]:
    """Processes that are known for transfers as 0.5.3 knew them, by their name and the start of an
    argument, and those that an archiver of this owner started; none of this process' own children.

    An empty prefix would fit every argument, and so fits none.
    """
    own = {child.pid for child in psutil.Process().children(recursive=True)}
    return [
        process
        for process in psutil.process_iter(["name"])
        if process.pid not in own
        and (_is_known(process, process_name, argument_prefix) or _is_marked(process, owner))
    ]


def words(processes: list[psutil.Process]) -> str | None:
    """The transfer for people: "rsync (pid 4711)"; None where there is none, or all have ended."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                return f"{process.name()} (pid {process.pid})"
    return None


def _is_known(process: psutil.Process, name: str, prefix: str) -> bool:
    if process.info["name"] != name or not prefix:
        return False
    return any(argument.startswith(prefix) for argument in _arguments(process))


def _arguments(process: psutil.Process) -> Iterator[str]:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        yield from process.cmdline()


def _is_marked(process: psutil.Process, owner: str) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        if process.uids().real == os.getuid():
            return bool(process.environ().get(MARK) == owner)
    return False
