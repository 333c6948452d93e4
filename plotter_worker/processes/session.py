"""Processes of one session: what a program that we started as the first of its own has started in turn, also
where it has ended since."""

from __future__ import annotations

import os

import psutil


def members(leader: int) -> list[psutil.Process]:
    """Processes of the session that `leader` (a pid) began, zombies included."""
    found = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == leader:
                found.append(psutil.Process(pid))
        except (OSError, psutil.Error):
            continue  # gone
    return found


def lives(leader: int) -> bool:
    """Whether a process of that session still runs, or is stopped."""
    return any(_status(process) not in (None, psutil.STATUS_ZOMBIE) for process in members(leader))


def _status(process: psutil.Process) -> str | None:
    try:
        return process.status()
    except psutil.Error:
        return None  # gone
