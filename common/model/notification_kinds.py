"""The kinds of notifications with their meanings, and the groups that plotman.yaml may name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How urgent a notification is. WARNING: an operator should act. CRITICAL: at once."""

    INFO = 0
    SUCCESS = 1
    WARNING = 2
    CRITICAL = 3

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class NotificationKind:
    """A kind of notification. group: one of `GROUPS`."""

    name: str
    group: str
    severity: Severity
    meaning: str

    @property
    def action(self) -> bool:
        """Whether an operator must act, or need not any more; such kinds are sent by default."""
        return self.severity >= Severity.WARNING or self.name.endswith("-back")


ACTION = "action"
ALL = "all"

INFO, SUCCESS, WARNING, CRITICAL = Severity

_MEANINGS = {
    "plots": (
        ("plot-started", INFO, "a plot was started"),
        ("plot-done", SUCCESS, "a plot is complete, or all plots of a job that makes several"),
        ("plot-failed", WARNING, "a plotter ended without its plot"),
        ("plot-killed", INFO, "an operator or stall_action killed a plot"),
        ("plot-stalled", WARNING, "a plotter makes no progress"),
        (
            "plotting-stopped",
            CRITICAL,
            "several plotters in a row failed right after their start; the host starts no more",
        ),
    ),
    "archiving": (
        ("archived", SUCCESS, "a plot is on its farming drive, verified"),
        ("transfer-failed", INFO, "a plot could not be moved; plotman tries again"),
        ("refused", WARNING, "a harvester refused a plot"),
    ),
    "drives": (
        ("damaged", CRITICAL, "a plot on a farming drive has changed"),
        (
            "drive-failed",
            WARNING,
            "a drive could not be written to, or returned other bytes than were written",
        ),
        ("not-farmed", WARNING, "chia's harvester does not search a drive, or cannot open a plot"),
        ("replot-begun", INFO, "a harvester begins to replace old plots by new ones"),
        ("replot-paused", INFO, "an operator paused the replacing of old plots"),
        ("replot-resumed", INFO, "an operator resumed the replacing of old plots"),
        ("replot-ended", INFO, "an operator ended the replacing of old plots"),
        ("plot-replaced", INFO, "an old plot was deleted, after new ones had come in its place"),
        ("replot-done", SUCCESS, "no old plot of the classes is left on a harvester"),
        ("replot-refused", WARNING, "an old plot was not deleted, as it is not what the inventory says"),
        ("replot-stopped", WARNING, "a harvester deletes no old plots until an operator acts"),
        ("evacuated", SUCCESS, "the plots of a drive were moved to others, or an operator ended that"),
        ("drive-full", WARNING, "a drive has no room for another plot"),
        ("disk-fails", CRITICAL, "a drive's disk says by S.M.A.R.T. that it is about to fail"),
        ("drive-lost", CRITICAL, "a drive is missing, not mounted, read-only, or does not answer"),
        ("drive-back", SUCCESS, "a drive that was lost can be used again"),
        (
            "dir-lost",
            CRITICAL,
            "a plotter's tmp, tmp2 or dst directory is missing, read-only, or does not answer",
        ),
        ("dir-back", SUCCESS, "a directory that was lost can be used again"),
    ),
    "hosts": (
        ("host-stale", CRITICAL, "a worker no longer reports"),
        ("host-back", SUCCESS, "a lost worker reports again"),
        ("clock-wrong", WARNING, "a machine's clock differs from Redis' by more than 5 s"),
        (
            "folder-full",
            CRITICAL,
            "the folder of plotman's state, or of the plots' logs, is full or takes no writes",
        ),
        ("folder-back", SUCCESS, "such a folder has room again"),
        ("clock-back", SUCCESS, "a clock that was wrong is right again"),
    ),
    "farm": (
        ("farm-idle", CRITICAL, "nothing runs and nothing starts, with the reason"),
        ("farm-busy", SUCCESS, "an idle farm plots again"),
        ("scheduler-lost", CRITICAL, "no scheduler decides, so nothing new starts or moves"),
        ("scheduler-back", SUCCESS, "a scheduler decides again"),
        ("broker-lost", CRITICAL, "Redis does not answer or refuses writes, so nothing new starts"),
        ("broker-back", SUCCESS, "Redis answers again, and takes writes"),
        ("config-refused", WARNING, "a changed plotman.yaml has errors; the last good one stays in effect"),
        ("config-changed", INFO, "a changed plotman.yaml took effect"),
        ("steered", INFO, "a host was paused, drained, resumed or forgotten"),
        ("test", INFO, "sent by `plotman notify test`"),
    ),
}
_KINDS = tuple(
    NotificationKind(name, group, severity, meaning)
    for group, kinds in _MEANINGS.items()
    for name, severity, meaning in kinds
)
KINDS = {kind.name: kind for kind in _KINDS}
GROUPS = tuple(dict.fromkeys(kind.group for kind in _KINDS))


def severity(kind: str) -> Severity:
    """How urgent an event of this kind is; INFO for one that nobody is notified of."""
    return KINDS[kind].severity if kind in KINDS else INFO


def names(chosen: Iterable[str]) -> frozenset[str]:
    """Names of the kinds that these names and groups stand for. Raises KeyError with an unknown name."""
    found: set[str] = set()
    for word in chosen:
        if word == ALL:
            found |= set(KINDS)
        elif word == ACTION:
            found |= {kind.name for kind in _KINDS if kind.action}
        elif word in GROUPS:
            found |= {kind.name for kind in _KINDS if kind.group == word}
        elif word in KINDS:
            found.add(word)
        else:
            raise KeyError(word)
    return frozenset(found)
