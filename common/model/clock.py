"""Which clock of a machine is wrong enough to matter, and the cure. Pure."""

from __future__ import annotations

from common.model.units import human_duration

MOST_SKEW_S = 5.0
CLOCK_CURE = (
    "Synchronize both clocks: `timedatectl set-ntp true` (systemd-timesyncd), or install chrony; "
    "`timedatectl` shows the result."
)


def wrong_clock(skew_s: float | None) -> str | None:
    """Describe a wrong clock: `2h 0m behind Redis'`.

    Args:
        skew_s: how far it is ahead of Redis' clock, in seconds; None: not known.

    Returns:
        None if it is right, or not known.
    """
    if skew_s is None or abs(skew_s) <= MOST_SKEW_S:
        return None
    return f"{human_duration(round(abs(skew_s)))} {'behind' if skew_s < 0 else 'ahead of'} Redis'"
