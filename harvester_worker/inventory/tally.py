"""Running sums of the inventory, by drive, class and month. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from common.model.figures import MOST_SPACE_BYTES
from common.model.plot_class import ClassSum, InventorySums, PlotClass

# Classes in the snapshot; a farmer has less than ten.
CLASSES_MAX = 64
_OTHERS = "others"


@dataclass(slots=True)
class Sum:
    """Plots of one class. files: which hold them."""

    plots: int = 0
    files: int = 0
    bytes: int = 0

    def add(self, plots: int, files: int, size_bytes: int) -> None:
        self.plots += plots
        self.files += files
        self.bytes += size_bytes


@dataclass(slots=True)
class DriveTally:
    """Sums of one drive. plots: by class and month (202611; 0: not known)."""

    plots: dict[tuple[PlotClass, int], Sum] = field(default_factory=dict)
    faults: Sum = field(default_factory=Sum)

    @property
    def total(self) -> Sum:
        """All of its whole plots."""
        return _total(self.plots.values())

    @property
    def files(self) -> int:
        """All files that were read, with the faulty ones."""
        return self.total.files + self.faults.files

    def add(
        self, plot_class: PlotClass | None, month: int, plots: int, size_bytes: int, files: int = 1
    ) -> None:
        """Count files, or take them out again with negative numbers.

        Args:
            plot_class: None: they are no whole plots.
            month: in which the plots were made.
            plots: number of plots.
            size_bytes: of all the files.
            files: number of files.
        """
        if plot_class is None:
            self.faults.add(0, files, size_bytes)
            return
        found = self.plots.setdefault((plot_class, month), Sum())
        found.add(plots, files, size_bytes)
        if not found.files:
            del self.plots[plot_class, month]

    def copy(self) -> DriveTally:
        return DriveTally(
            {key: Sum(one.plots, one.files, one.bytes) for key, one in self.plots.items()},
            Sum(0, self.faults.files, self.faults.bytes),
        )


def summed(
    tallies: Iterable[DriveTally], duplicates: int, listed: int, read: int, most: int = CLASSES_MAX
) -> InventorySums:
    """Sum up drives for the snapshot.

    Args:
        tallies: of the drives that count.
        duplicates: plots that are in several files.
        listed: files that were found on the drives.
        read: how many of them were read.
        most: number of classes; what is beyond, by bytes, is summed up as `others`.
    """
    classes: dict[PlotClass, Sum] = {}
    faults = Sum()
    for tally in tallies:
        faults.add(0, tally.faults.files, tally.faults.bytes)
        for (plot_class, _), one in tally.plots.items():
            classes.setdefault(plot_class, Sum()).add(one.plots, one.files, one.bytes)
    ordered = sorted(classes.items(), key=lambda item: -item[1].bytes)
    return InventorySums(
        classes=tuple(_class_sum(plot_class, one) for plot_class, one in ordered[:most]),
        others=_others(dict(ordered[most:])),
        faults=faults.files,
        fault_bytes=min(faults.bytes, MOST_SPACE_BYTES),  # of many drives with sparse files
        duplicates=duplicates,
        listed=listed,
        read=read,
    )


def _others(rest: Mapping[PlotClass, Sum]) -> ClassSum | None:
    return _class_sum(PlotClass(format=_OTHERS), _total(rest.values())) if rest else None


def _class_sum(plot_class: PlotClass, one: Sum) -> ClassSum:
    return ClassSum(
        **dict(plot_class), plots=one.plots, files=one.files, bytes=min(one.bytes, MOST_SPACE_BYTES)
    )


def _total(sums: Iterable[Sum]) -> Sum:
    total = Sum()
    for one in sums:
        total.add(one.plots, one.files, one.bytes)
    return total
