"""What tests of faults ask and wait for."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path, PurePath

from common.model.pending import MoveStep, PendingMove
from common.model.snapshot import Job, Transfer
from common.names import FREE_SPACE, PAUSE
from tests.support.machines import MB, Machines
from tests.support.waiting import eventually
from tests.support.watch import Watch


def running(machines: Machines, plotter: str, plots: int = 1) -> dict[str, Job]:
    """Task id -> job, once this number of plots of this plotter are being made."""

    def begun() -> list[Job]:
        found = [job for job in machines.jobs(plotter) if job.plot_id and job.phase and job.phase.major >= 1]
        return found if len(found) >= plots else []

    return {job.task_id: job for job in eventually(begun, f"{plots} plots run on {plotter}", 60)}


def starts(machines: Machines, plotter: str) -> int:
    """How many plots were ever started there, by their logs."""
    return len(list(machines.plotters[plotter].logs.glob("*.plot.log")))


def delivered(machines: Machines, watch: Watch, plots: int, timeout_s: float = 120) -> None:
    """Wait until this number of plots is known in all, and each is on a drive and nowhere else."""

    def there() -> bool:
        under_way = {PurePath(move.path).stem[-64:] for move in machines.moves()} & watch.known()
        return len(watch.known()) == plots and not watch.at_home() and not under_way

    def state() -> str:
        moves = [f"{move.step}, try {move.attempts}: {move.reason}" for move in machines.moves()]
        counts = f"{len(watch.known())} known, {len(watch.at_home())} not delivered"
        return f"{counts}; moves {moves}; waits {machines.waits()}"

    try:
        eventually(there, f"{plots} plots are on the drives", timeout_s)
    except AssertionError as error:
        raise AssertionError(f"{error}: {state()}") from None
    for plotter in machines.plotters.values():
        if plotter.host.is_on:
            left = list(plotter.host.seen(plotter.dst).glob("*.plot"))
            assert not left, f"sources that were not deleted: {left}"


def everybody_answers(machines: Machines, timeout_s: float = 30) -> bool:
    """Whether each plotter and each harvester carries a task out."""
    for name in machines.plotters:
        left = snapshot.starts_left if (snapshot := machines.plotter(name)) else None
        machines.call(PAUSE, timeout_s, host=name, after=left or 0)
    return all(machines.call(FREE_SPACE, timeout_s, host=name) for name in machines.harvesters)


def sending(machines: Machines, plotter: str, at_least: float = 0.1, timeout_s: float = 60) -> Transfer:
    """The transfer that runs from this plotter, once this share of the plot is sent."""

    found = eventually(
        lambda: _under_way(machines, plotter, at_least),
        f"{plotter} has sent {at_least:.0%} of a plot",
        timeout_s,
    )
    assert found is not None
    return found


def in_turn(machines: Machines, at_least: float = 0.1) -> Iterator[str]:
    """The plotters, each as soon as a transfer of its runs, in the order of the transfers."""
    left = set(machines.plotters)
    while left:
        first = eventually(
            lambda: next((name for name in left if _under_way(machines, name, at_least)), None),
            "one sends",
            60,
        )
        assert first is not None
        left.remove(first)
        yield first


def _under_way(machines: Machines, plotter: str, at_least: float) -> Transfer | None:
    snapshot = machines.archiver(plotter)
    found = snapshot.transfers if snapshot else ()
    return next((each for each in found if each.sent_bytes >= at_least * each.size_bytes), None)


def first_at(
    machines: Machines, step: MoveStep, plotters: set[str], timeout_s: float = 60
) -> tuple[str, PendingMove]:
    """Which of these plotters is the first whose plot comes to this step, and the plot's move."""

    def found() -> list[tuple[str, PendingMove]]:
        moves = [move for move in machines.moves() if move.step is step]
        folders = {name: str(machines.plotters[name].dst) for name in plotters}
        return [(name, move) for move in moves for name in plotters if move.path.startswith(folders[name])]

    what = f"a plot of {' or '.join(sorted(plotters))} is at step {step}"
    return eventually(found, what, timeout_s, every_s=0.005)[0]


def drive_of(machines: Machines, transfer: Transfer) -> str:
    """Name of the drive to which a transfer goes."""
    drives = machines.harvesters[transfer.harvester].drives
    return next(name for name, path in drives.items() if str(path) == transfer.drive)


def fill(folder: Path, leave_bytes: int) -> Path:
    """What somebody else puts on a drive, as seen from outside: all but this number of the free bytes."""
    taken = folder / "somebody-else.bin"
    with taken.open("wb") as file, contextlib.suppress(OSError):
        step_bytes = MB // 4
        for number in itertools.count():
            figures = os.statvfs(folder)
            if figures.f_bavail * figures.f_frsize - step_bytes < leave_bytes:
                break
            os.posix_fallocate(file.fileno(), number * step_bytes, step_bytes)
    return taken
