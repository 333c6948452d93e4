"""Notices another plotman that goes by our host's name, as machines do that are cloned from one image. They
take each other's orders and overwrite each other's snapshots, and neither sees more of it than that."""

from __future__ import annotations

from pathlib import Path

from common.names import SNAPSHOT_RENEW
from common.system import machine

# Whoever is there renews its mark each SNAPSHOT_RENEW. One that is seen for less than _SURE_S has made way:
# for us, after a reboot or with another state folder.
_SURE_S = 2 * SNAPSHOT_RENEW.total_seconds()
_GONE_S = 3 * SNAPSHOT_RENEW.total_seconds()


def mark(state_dir: Path) -> str:
    """What tells this plotman from others of its name, also on this machine; a restart leaves it as it is."""
    try:
        # Not its path: that is the same in all containers of a machine.
        status = state_dir.stat()
        place = f"{status.st_dev}:{status.st_ino}"
    except OSError:
        place = str(state_dir.absolute())
    return f"{machine.boot_id()} {place}"


class DuplicateHost:
    """mark: ours. Times are passed in, in seconds of a clock that never goes back."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._other = ""
        self._since_s = self._last_s = float("-inf")

    def saw(self, mark: str | None, now_s: float) -> None:
        """mark: what stood where ours stands now; None: nothing."""
        if mark is None or mark == self._mark:
            return
        if self._gone(now_s):
            self._since_s = now_s
        self._other, self._last_s = mark, now_s

    def problem(self, host: str, now_s: float) -> str | None:
        """What to tell people, as long as another goes by the name `host`."""
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
