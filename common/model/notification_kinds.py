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
    """A kind of notification. group: one of `GROUPS`. action: an operator must act; sent by default."""

    name: str
    group: str
    severity: Severity
    meaning: str
    action: bool = False


ACTION = "action"
ALL = "all"

_KINDS = (
    NotificationKind("plot-started", "plots", Severity.INFO, "a plot was started"),
    NotificationKind("plot-done", "plots", Severity.SUCCESS, "a plot is complete"),
    NotificationKind(
        "plot-failed", "plots", Severity.WARNING, "a plotter ended without its plot", action=True
    ),
    NotificationKind("plot-killed", "plots", Severity.INFO, "an operator or stall_action killed a plot"),
    NotificationKind("plot-stalled", "plots", Severity.WARNING, "a plotter makes no progress", action=True),
    NotificationKind(
        "plotting-stopped",
        "plots",
        Severity.CRITICAL,
        "several plotters in a row failed right after their start; the host starts no more",
        action=True,
    ),
    NotificationKind("archived", "archiving", Severity.SUCCESS, "a plot is on its farming drive, verified"),
    NotificationKind(
        "transfer-failed", "archiving", Severity.INFO, "a plot could not be moved; plotman tries again"
    ),
    NotificationKind("refused", "archiving", Severity.WARNING, "a harvester refused a plot", action=True),
    NotificationKind(
        "damaged", "drives", Severity.CRITICAL, "a plot on a farming drive has changed", action=True
    ),
    NotificationKind(
        "drive-failed",
        "drives",
        Severity.WARNING,
        "a drive could not be written to, or returned other bytes than were written",
        action=True,
    ),
    NotificationKind(
        "drive-full", "drives", Severity.WARNING, "a drive has no room for another plot", action=True
    ),
    NotificationKind(
        "drive-lost",
        "drives",
        Severity.CRITICAL,
        "a drive is missing, not mounted, read-only, or does not answer",
        action=True,
    ),
    NotificationKind(
        "drive-back", "drives", Severity.SUCCESS, "a drive that was lost can be used again", action=True
    ),
    NotificationKind(
        "dir-lost",
        "drives",
        Severity.CRITICAL,
        "a plotter's tmp, tmp2 or dst directory is missing, read-only, or does not answer",
        action=True,
    ),
    NotificationKind(
        "dir-back", "drives", Severity.SUCCESS, "a directory that was lost can be used again", action=True
    ),
    NotificationKind("host-stale", "hosts", Severity.CRITICAL, "a worker no longer reports", action=True),
    NotificationKind("host-back", "hosts", Severity.SUCCESS, "a lost worker reports again", action=True),
    NotificationKind(
        "farm-idle",
        "farm",
        Severity.CRITICAL,
        "nothing runs and nothing starts, with the reason",
        action=True,
    ),
    NotificationKind("farm-busy", "farm", Severity.SUCCESS, "an idle farm plots again"),
    NotificationKind(
        "scheduler-lost",
        "farm",
        Severity.CRITICAL,
        "no scheduler decides, so nothing new starts or moves",
        action=True,
    ),
    NotificationKind("scheduler-back", "farm", Severity.SUCCESS, "a scheduler decides again", action=True),
    NotificationKind(
        "broker-lost", "farm", Severity.CRITICAL, "Redis does not answer, so nothing new starts", action=True
    ),
    NotificationKind("broker-back", "farm", Severity.SUCCESS, "Redis answers again", action=True),
    NotificationKind(
        "config-refused",
        "farm",
        Severity.WARNING,
        "a changed plotman.yaml has errors; the last good one stays in effect",
        action=True,
    ),
    NotificationKind("config-changed", "farm", Severity.INFO, "a changed plotman.yaml took effect"),
    NotificationKind("steered", "farm", Severity.INFO, "a host was paused, drained, resumed or forgotten"),
    NotificationKind("test", "farm", Severity.INFO, "sent by `plotman notify test`"),
)
KINDS = {kind.name: kind for kind in _KINDS}
GROUPS = tuple(dict.fromkeys(kind.group for kind in _KINDS))


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
