"""Detects another plotman with the same host name, as on machines cloned from one image. The two take each
other's orders and overwrite each other's snapshots."""

from __future__ import annotations

import time
from pathlib import Path

from common.names import SNAPSHOT_RENEW, Role
from common.store import Board
from common.store.server_checks import Finding, FindingLevel
from common.system import machine

# Each plotman renews its mark every SNAPSHOT_RENEW. A mark seen for less than _SURE_S was our own, before a
# reboot or a change of the state folder.
_SURE_S = 2 * SNAPSHOT_RENEW.total_seconds()
_GONE_S = 3 * SNAPSHOT_RENEW.total_seconds()
# By then one that lives has renewed its sign of life.
_RENEWED_S = SNAPSHOT_RENEW.total_seconds() + 2
_LOOK_S = 0.2


def mark(state_dir: Path) -> str:
    """Identifies this plotman among others of its name, on this machine too; survives a restart."""
    try:
        # Its path would be the same in all containers of a machine.
        status = state_dir.stat()
        place = f"{status.st_dev}:{status.st_ino}"
    except OSError:
        place = str(state_dir.absolute())
    return f"{machine.boot_id()} {place}"


def neighbour(board: Board, role: Role, host: str, mark: str) -> Finding | None:
    """Why a worker may not start: another plotman on this machine, with a state folder of its own, has its
    name. Two machines of one name are not found here: after a reboot the sign of life is one's own.

    Waits until the other has renewed its sign of life, some seconds; returns at once where there is none.

    Args:
        mark: Ours.

    Raises:
        BrokerError: Redis does not answer.
    """
    first = board.sign_of_life(role, host)
    until_s = time.monotonic() + _RENEWED_S
    while (seen := board.sign_of_life(role, host)) is not None and _is_neighbours(seen[1], mark):
        if seen != first:
            return Finding(
                f"Another plotman on this machine runs as {role}@{host}.",
                "The two would take each other's orders.",
                "Give each its own farm.host, or stop the other.",
                FindingLevel.FATAL,
            )
        if time.monotonic() >= until_s:
            return None
        time.sleep(_LOOK_S)
    return None


def _is_neighbours(other: str, ours: str) -> bool:
    return other != ours and other.split(" ")[0] == ours.split(" ")[0]


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
        here = _is_neighbours(self._other, self._mark)
        who = "Another plotman on this machine" if here else "Another machine"
        return (
            f"{who} also calls itself {host}: they take each other's orders, and hide what the other shows. "
            "Give each its own farm.host."
        )

    def _gone(self, now_s: float) -> bool:
        return now_s - self._last_s > _GONE_S
