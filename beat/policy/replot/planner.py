"""Which plots are replaced: by class and drive, and why all others stay. Deletes nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from beat.policy.replot.worth import due_epochs, new_plot_bytes
from common.model.figures import MOST
from common.model.plot_class import PlotClass
from common.model.plot_sizes import v1_plot_bytes
from common.model.replot import OldClass, why_never
from common.model.replot_victims import DriveId, size_fits

NOT_NAMED = "in none of the classes"
NO_MONTH = "when they were made is not known"
NO_SIZE = "their size is not known"
ODD_SIZE = "their size does not fit the header"
NO_DRIVE = "the state of the drive is not known"


@dataclass(frozen=True, slots=True)
class PlotGroup:
    """Plots with equal headers, made in one month, on one drive. month: `2022-11`; None: not known."""

    drive: DriveId
    plot_class: PlotClass
    month: str | None
    plots: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class DriveState:
    """A drive before anything is replaced.

    low_water_bytes: what stays free on it.
    closed: why no plot on it may be replaced; None: they may.
    device: of its file system; drives of a host with the same one share its free bytes. None: not known.
    """

    free_bytes: int | None
    low_water_bytes: int = 0
    closed: str | None = None
    device: str | None = None


@dataclass(slots=True)
class Amount:
    """Old plots; one file each."""

    plots: int = 0
    bytes: int = 0

    def add(self, group: PlotGroup) -> None:
        self.plots += group.plots
        self.bytes += group.bytes


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """The plots of one class that are replaced.

    drives: number of drives that have some.
    weight: of a byte of them before the fork, as `worth.weight_per_byte`; 0: there are none.
    due_epochs: after the fork, from which a new plot farms more.
    """

    old: OldClass
    plots: int
    bytes: int
    drives: int
    weight: float
    due_epochs: int

    @property
    def due_days(self) -> int:
        """Days after the fork; the last of `due_epochs` has begun."""
        return max(0, self.due_epochs - 1)


@dataclass(frozen=True, slots=True)
class ClassOnDrive:
    """The plots of one class that are replaced on one drive.

    number: of the class.
    headers: what their headers say, without equal ones.
    """

    number: int
    headers: tuple[PlotClass, ...]
    plots: int
    bytes: int


@dataclass(frozen=True, slots=True)
class DrivePlan:
    """What happens on one drive, in the end.

    free_bytes: before; on a file system that several drives share, what the one before it in the plan leaves.
    classes: in the order in which they go.
    new_plots: k28 plots that fit into what they free and into the free bytes above low water.
    """

    drive: DriveId
    free_bytes: int
    low_water_bytes: int
    classes: tuple[ClassOnDrive, ...]
    new_plots: int

    @property
    def plots(self) -> int:
        return sum(one.plots for one in self.classes)

    @property
    def freed_bytes(self) -> int:
        return sum(one.bytes for one in self.classes)

    @property
    def new_bytes(self) -> int:
        return self.new_plots * new_plot_bytes()

    @property
    def free_after_bytes(self) -> int:
        return self.free_bytes + self.freed_bytes - self.new_bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """Plots that stay. why: completes "they stay: "."""

    why: str
    plot_class: PlotClass
    plots: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ReplotPlan:
    """classes: as the owner orders them, also those without plots. drives: with plots that are replaced."""

    classes: tuple[ClassPlan, ...] = ()
    drives: tuple[DrivePlan, ...] = ()
    kept: tuple[Kept, ...] = ()

    @property
    def plots(self) -> int:
        return sum(one.plots for one in self.classes)

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.classes)

    @property
    def out_of_order(self) -> tuple[tuple[ClassPlan, ClassPlan], ...]:
        """Neighbours of which the second begins to pay earlier than the first."""
        some = [one for one in self.classes if one.plots]
        return tuple(
            (one, following) for one, following in pairwise(some) if following.due_epochs < one.due_epochs
        )


# Of one drive: by the number of their class and by their header.
_Leaving = dict[int, dict[PlotClass, Amount]]


def plan(
    groups: Iterable[PlotGroup],
    drives: Mapping[DriveId, DriveState],
    classes: Sequence[OldClass],
    new_weight: float = 1.0,
) -> ReplotPlan:
    """Decide for each group whether it is replaced.

    Args:
        groups: all plots of the farm.
        drives: in the order in which they come; plots on other drives stay.
        classes: in the order in which they go. No two overlap.
        new_weight: of a byte of new plots after the fork.
    """
    leaving: dict[DriveId, _Leaving] = {drive: {} for drive in drives}
    kept: dict[tuple[str, PlotClass], Amount] = {}
    for group in groups:
        number = _number_or_why(group, drives.get(group.drive), classes)
        if isinstance(number, str):
            kept.setdefault((number, group.plot_class), Amount()).add(group)
        else:
            headers = leaving[group.drive].setdefault(number, {})
            headers.setdefault(group.plot_class, Amount()).add(group)
    return ReplotPlan(
        tuple(_class_plan(number, old, leaving, new_weight) for number, old in enumerate(classes)),
        tuple(_drive_plans(drives, leaving)),
        tuple(
            Kept(why, plot_class, amount.plots, amount.bytes)
            for (why, plot_class), amount in sorted(kept.items(), key=lambda item: -item[1].bytes)
        ),
    )


def _number_or_why(group: PlotGroup, drive: DriveState | None, classes: Sequence[OldClass]) -> int | str:
    """The number of the group's class, or why it stays. What is not known stays."""
    if never := why_never(group.plot_class):
        return never
    number = next((n for n, old in enumerate(classes) if old.matches(group.plot_class, group.month)), None)
    if number is None:
        unknown = group.month is None and any(old.needs_month(group.plot_class) for old in classes)
        return NO_MONTH if unknown else NOT_NAMED
    if group.plots != group.files or group.plots < 1 or not group.plots <= group.bytes < MOST:
        return NO_SIZE
    if not size_fits(group.plot_class, group.plots, group.bytes):
        return ODD_SIZE
    if drive is None or drive.closed is not None:
        return NO_DRIVE if drive is None else drive.closed or NO_DRIVE
    return NO_DRIVE if drive.free_bytes is None else number


def _class_plan(
    number: int, old: OldClass, leaving: Mapping[DriveId, _Leaving], new_weight: float
) -> ClassPlan:
    on_drives = [classes[number] for classes in leaving.values() if number in classes]
    pairs = [pair for headers in on_drives for pair in headers.items()]
    size_bytes = sum(amount.bytes for _, amount in pairs)
    full_bytes = sum(v1_plot_bytes(header.k or 0) * amount.plots for header, amount in pairs)
    weight = full_bytes / size_bytes if size_bytes else 0.0
    return ClassPlan(
        old=old,
        plots=sum(amount.plots for _, amount in pairs),
        bytes=size_bytes,
        drives=len(on_drives),
        weight=weight,
        due_epochs=due_epochs(weight, new_weight),
    )


def _drive_plans(
    drives: Mapping[DriveId, DriveState], leaving: Mapping[DriveId, _Leaving]
) -> Iterator[DrivePlan]:
    """The drives of which something goes. The free bytes of a device, or what it lacks, count once."""
    left_bytes: dict[tuple[str, str], int] = {}
    for drive, classes in leaving.items():
        if not classes:
            continue
        state = drives[drive]
        free_bytes = state.free_bytes or 0
        if state.device is None:
            yield _drive_plan(drive, state.low_water_bytes, free_bytes, classes)
            continue
        device = (drive.host, state.device)
        made = _drive_plan(drive, state.low_water_bytes, left_bytes.get(device, free_bytes), classes)
        left_bytes[device] = made.free_after_bytes
        yield made


def _drive_plan(drive: DriveId, low_water_bytes: int, free_bytes: int, classes: _Leaving) -> DrivePlan:
    on_drive = tuple(_class_on_drive(number, classes[number]) for number in sorted(classes))
    room_bytes = max(0, free_bytes + sum(one.bytes for one in on_drive) - low_water_bytes)
    return DrivePlan(
        drive=drive,
        free_bytes=free_bytes,
        low_water_bytes=low_water_bytes,
        classes=on_drive,
        new_plots=room_bytes // new_plot_bytes(),
    )


def _class_on_drive(number: int, headers: Mapping[PlotClass, Amount]) -> ClassOnDrive:
    amounts = headers.values()
    return ClassOnDrive(
        number=number,
        headers=tuple(headers),
        plots=sum(amount.plots for amount in amounts),
        bytes=sum(amount.bytes for amount in amounts),
    )
