"""Old plots that may go, by the inventory of this harvester.

What the inventory says of a file is looked at again before the file is deleted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from common.model.plot_class import PlotClass
from common.model.plot_name import PlotName
from common.model.replot import OldClass
from common.model.replot_victims import DriveId, Victim, size_fits
from harvester_worker.inventory.entry import month_text
from harvester_worker.inventory.store import InventoryStore, StoredFile
from harvester_worker.inventory.tally import DriveTally

_AT_ONCE = 16  # files that are read; then four times as many, while all of them stay


@dataclass(slots=True)
class Found:
    """Old plots on the drives.

    first: the first of each class on each drive, in the planner's order of them.
    left: plots and bytes of each class, by its name.
    """

    first: dict[Victim, StoredFile] = field(default_factory=dict)
    left: dict[str, tuple[int, int]] = field(default_factory=dict)


def find(
    store: InventoryStore,
    host: str,
    drives: Sequence[str],
    classes: Sequence[OldClass],
    stays: Callable[[StoredFile], bool],
) -> Found:
    """Find the old plots.

    Args:
        store: of the inventory.
        host: this one.
        drives: those that count, in the order in which they come.
        classes: in the order in which they go.
        stays: whether a file does not go.

    Raises:
        sqlite3.Error: the inventory cannot be read now.
    """
    found = Found()
    tallies = store.tallies()
    for number, old in enumerate(classes):
        plots = size_bytes = 0
        for drive in drives:
            tally = tallies.get(drive, DriveTally())
            sums = [
                (one, each)
                for (one, month), each in tally.plots.items()
                if old.matches(one, month_text(month))
            ]
            plots += sum(each.files for _, each in sums)
            size_bytes += sum(each.bytes for _, each in sums)
            if not sums:
                continue
            file = _first(store, drive, {one for one, _ in sums}, old, stays)
            if file is not None:
                victim = Victim(DriveId(host, drive), os.fsdecode(file.name), file.stamp.size_bytes, number)
                found.first[victim] = file
        found.left[old.name] = (plots, size_bytes)
    return found


def _first(
    store: InventoryStore,
    drive: str,
    plots: Collection[PlotClass],
    old: OldClass,
    stays: Callable[[StoredFile], bool],
) -> StoredFile | None:
    """The first file of a class on a drive that may go; None: there is none."""
    before = int(old.made_before.replace("-", "")) if old.made_before else None
    limit = _AT_ONCE
    while True:
        files = store.classed(drive, plots, before, limit)
        for file in files:
            if may_go(file, old) and not stays(file):
                return file
        if len(files) < limit:
            return None
        limit *= 4


def may_go(file: StoredFile, old: OldClass) -> bool:
    """Whether a file, as the inventory has it, is one whole plot of this class, of a size that fits."""
    entry, size_bytes = file.entry, file.stamp.size_bytes
    return (
        entry.plot_class is not None
        and entry.plots == 1
        and entry.plot_id is not None
        and PlotName.parse(os.fsdecode(file.name)) is not None
        and old.matches(entry.plot_class, month_text(entry.made))
        and size_bytes > 0
        and size_fits(entry.plot_class, 1, size_bytes)
    )
