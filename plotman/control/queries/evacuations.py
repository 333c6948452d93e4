"""Evacuations of drives, in words and as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from common.model.snapshot import Drive, DriveUse, Evacuating, HarvesterSnapshot
from common.model.units import counted, human_bytes, human_duration

_FIELDS = {"since", "to", "by", "reason", "ending", "total_plots", "total_bytes", "left_plots", "left_bytes"}


def of_drive(snapshot: HarvesterSnapshot, drive: Drive) -> Evacuating | None:
    """The evacuation of a drive; None if it is not evacuated."""
    return next((each for each in snapshot.evacuations if each.drive == drive.path), None)


def text(entry: Evacuating, now: datetime) -> str:
    """`evacuating: 123 of 870 plots moved, 12.4 TB left, 2d 3h; 2 files stay`. Files that stay are in neither
    number of plots."""
    word = "evacuation ends" if entry.ending else "evacuating"
    if entry.left_plots is None or entry.left_bytes is None:
        return f"{word}: its drive cannot be read now"
    to_move = max(entry.left_plots, entry.total_plots - entry.stays_plots)
    done = to_move - entry.left_plots
    found = f"{word}: {done} of {counted(to_move, 'plot')} moved, {human_bytes(entry.left_bytes)} left"
    if not entry.ending and (eta_s := entry.eta_s(now)) is not None:
        found += f", {human_duration(eta_s)}"
    if entry.stays_count:
        found += f"; {counted(entry.stays_count, 'file')} {'stays' if entry.stays_count == 1 else 'stay'}"
    return found


def word(snapshot: HarvesterSnapshot, drive: Drive, now: datetime) -> str:
    """The state of a drive, with the progress of its evacuation. A drive that an operator closed is drained,
    one that plotman.yaml closes is draining."""
    entry = of_drive(snapshot, drive) if snapshot.evacuations else None
    if entry is not None:
        return text(entry, now)
    is_drained = drive.drained is not None and drive.word == DriveUse.DRAINING
    return "drained" if is_drained else drive.word


def as_dict(snapshot: HarvesterSnapshot, drive: Drive, now: datetime) -> dict[str, Any] | None:
    """The evacuation of a drive in `dirs --json`; None if it is not evacuated."""
    entry = of_drive(snapshot, drive)
    if entry is None:
        return None
    shown = entry.model_dump(mode="json", include=_FIELDS | {"stays", "stays_count"})
    return {**shown, "eta_s": entry.eta_s(now), "text": text(entry, now)}
