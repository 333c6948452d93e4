"""Ends transfers whose archiver was killed: rsync goes on without it, and nobody would hear of its end."""

from __future__ import annotations

import logging

import psutil

log = logging.getLogger(__name__)

# In the environment of each rsync that we start: whose it is.
MARK = "PLOTMAN_TRANSFER"
_GRACE_S = 5.0


def end_strays(owner: str) -> int:
    """End every rsync that an earlier archiver of this owner started; how many there were.

    Called before the first transfer. What they sent is kept, and the next transfer goes on from there.
    """
    strays = [process for process in psutil.process_iter(["name"]) if _is_stray(process, owner)]
    for process in strays:
        _signal(process, kill=False)
    _, stubborn = psutil.wait_procs(strays, timeout=_GRACE_S)
    for process in stubborn:
        _signal(process, kill=True)
    if strays:
        log.info("ended %d rsync of an archiver that is gone", len(strays), extra={"action": "strays-ended"})
    return len(strays)


def _is_stray(process: psutil.Process, owner: str) -> bool:
    try:
        return process.info["name"] == "rsync" and process.environ().get(MARK) == owner
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _signal(process: psutil.Process, kill: bool) -> None:
    try:
        process.kill() if kill else process.terminate()
    except psutil.NoSuchProcess:
        return
