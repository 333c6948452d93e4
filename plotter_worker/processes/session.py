"""Finds the processes of a session: all that a session leader started, also after it has ended."""

from __future__ import annotations

import os

import psutil


def members(leader: int) -> list[psutil.Process]:
    """Processes of the session of `leader` (a pid), zombies included."""
    found = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == leader:
                found.append(psutil.Process(pid))
        except (OSError, psutil.Error):
            continue  # ended
    return found


def lives(leader: int) -> bool:
    """Whether a process of that session runs or is stopped."""
    return any(_status(process) not in (None, psutil.STATUS_ZOMBIE) for process in members(leader))


def _status(process: psutil.Process) -> str | None:
    try:
        return process.status()
    except psutil.Error:
        return None  # ended
