"""Detects another plotman with the same host name, as on machines cloned from one image. The two take each
other's orders and overwrite each other's snapshots."""

from __future__ import annotations

from pathlib import Path

from common.names import SNAPSHOT_RENEW
from common.system import machine

# Each plotman renews its mark every SNAPSHOT_RENEW. A mark seen for less than _SURE_S was our own, before a
# reboot or a change of the state folder.
_SURE_S = 2 * SNAPSHOT_RENEW.total_seconds()
_GONE_S = 3 * SNAPSHOT_RENEW.total_seconds()


def mark(state_dir: Path) -> str:
    """Identifies this plotman among others of its name, on this machine too; survives a restart."""
    try:
        # Its path would be the same in all containers of a machine.
        status = state_dir.stat()
        place = f"{status.st_dev}:{status.st_ino}"
    except OSError:
        place = str(state_dir.absolute())
    return f"{machine.boot_id()} {place}"


class DuplicateHost:
    """mark: ours. Callers pass monotonic times in seconds."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._other = ""
        self._since_s = self._last_s = float("-inf")

    def saw(self, mark: str | None, now_s: float) -> None:
        """Note the mark that ours has replaced at `now_s`; None: there was none."""
        if mark is None or mark == self._mark:
            return
        if self._gone(now_s):
            self._since_s = now_s
        self._other, self._last_s = mark, now_s

    def problem(self, host: str, now_s: float) -> str | None:
        """The warning for operators while another plotman uses the name `host`; else None."""
        if self._gone(now_s) or self._last_s - self._since_s < _SURE_S:
            return None
        here = self._other.split(" ")[0] == self._mark.split(" ")[0]
        who = "Another plotman on this machine" if here else "Another machine"
        return (
            f"{who} also calls itself {host}: they take each other's orders, and hide what the other shows. "
            "Give each its own farm.host."
        )

    def _gone(self, now_s: float) -> bool:
        return now_s - self._last_s > _GONE_S
