"""Finds the rsyncs that a killed process of plotman left running, by a mark in their environment."""

from __future__ import annotations

import psutil


def rsyncs_of(owner: str, mark: str) -> list[psutil.Process]:
    """List the running rsyncs in whose environment the variable `mark` has the value `owner`."""
    return [process for process in psutil.process_iter(["name"]) if _is_marked(process, owner, mark)]


def _is_marked(process: psutil.Process, owner: str, mark: str) -> bool:
    try:
        return process.info["name"] == "rsync" and process.environ().get(mark) == owner
    except psutil.Error:
        return False  # ended, or another user's
