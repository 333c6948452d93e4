"""The hosts and drives of the page of the farm, a tile each, and all buttons. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from common.model.disk_usage import above_margin, used_share
from common.model.figures import LONGEST_NAME
from common.model.snapshot import Drive, DriveUse, Job, RunStatus, TargetSpace
from common.model.text import one_line
from common.model.units import counted, human_bytes
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.queries import evacuations
from plotman.flower.limits import LONGEST_TEXT, short
from plotman.flower.page import Button, DriveBar, HostLine
from plotman.flower.summary import in_days


def hosts(farm: FarmState, orders: bool) -> Iterable[HostLine]:
    for host in sorted({*farm.plotters, *farm.archivers, *farm.harvesters}):
        roles = [role for role, snapshots in farm.snapshots.items() if host in snapshots]
        absent = {farm.absence(role, host) for role in roles if (role, host) in farm.stale}
        plotter = farm.plotters.get(host)
        state, kind = "", ""
        if absent:
            state, kind = " and ".join(sorted(absent)), "danger"
        elif plotter is not None:
            count = counted(len(plotter.jobs), "plot")
            state, kind = (
                (f"{plotter.pause_text}; {count}", "warning") if not plotter.plotting else (count, "")
            )
        buttons = tuple(_host_buttons(farm, host)) if orders and not absent else ()
        yield HostLine(
            one_line(host, LONGEST_NAME),
            ", ".join(role.value for role in roles),
            one_line(state, 300),
            kind,
            buttons,
        )


def _host_buttons(farm: FarmState, host: str) -> Iterable[Button]:
    shown = one_line(host, LONGEST_NAME)
    if (plotter := farm.plotters.get(host)) is not None:
        if plotter.paused is not None or plotter.failures.consecutive >= plotter.failure_limit:
            yield Button("Unpause", "unpause", host, question=f"Start plots on {shown} again?")
        else:
            yield Button(
                "Pause", "pause", host, question=f"Start no more plots on {shown}? Those that run go on."
            )
    parts = (farm.plotters.get(host), farm.harvesters.get(host))
    if any(part is not None and part.drained is not None for part in parts):
        yield Button("Undrain", "undrain", host, question=f"End the drain of {shown}?")
    else:
        yield Button(
            "Drain", "drain", host, question=f"Let nothing new begin on {shown}, on none of its drives?"
        )


def plot_buttons(farm: FarmState, host: str, job: Job) -> tuple[Button, ...]:
    if (Role.PLOTTER, host) in farm.stale:
        return ()
    task_id, stopped = job.task_id, job.status is RunStatus.STOPPED
    change = (
        Button("Resume", "resume", host, task_id) if stopped else Button("Suspend", "suspend", host, task_id)
    )
    return Button("Log", "log", host, task_id), change, Button("Kill", "kill", host, task_id)


@dataclass(frozen=True)
class _Storage:
    """A farming drive, or a folder of a target of plotman 0.5. rank: the smallest matter most."""

    host: str
    rank: int
    drive: Drive | None = None
    target: tuple[str, TargetSpace] | None = None


def drives(farm: FarmState) -> Iterable[_Storage]:
    for host, snapshot in farm.harvesters.items():
        stale = (Role.HARVESTER, host) in farm.stale
        for drive in snapshot.drives:
            rank = 0 if stale or drive.lost else 1 if not drive.takes_plots else 3 if drive.full else 2
            yield _Storage(host, rank, drive)
    for host, archiver in farm.archivers.items():
        if archiver.target is not None:
            for space in archiver.target.spaces:
                yield _Storage(host, 2, target=(archiver.target.name, space))


def drive_bar(
    farm: FarmState, found: _Storage, rates: Mapping[tuple[str, str], float], orders: bool
) -> DriveBar:
    """rates: bytes per day by (host, drive)."""
    host, drive = found.host, found.drive
    shown_host = one_line(host, LONGEST_NAME)
    if found.target is not None:  # its size and plots are not known
        name, space = found.target
        free = f"{human_bytes(space.free_bytes)} free"
        state = one_line(f"target {name}", 100)
        return DriveBar(shown_host, short(space.path), None, state, "", free, "", "", ())
    assert drive is not None
    snapshot, stale = farm.harvesters[host], (Role.HARVESTER, host) in farm.stale
    share = used_share(drive.free_bytes, drive.total_bytes, drive.reserved_bytes)
    word = farm.absence(Role.HARVESTER, host) if stale else evacuations.word(snapshot, drive, farm.at)
    kind = "danger" if stale or drive.lost else "warning" if not drive.takes_plots else ""
    rate = rates.get((host, drive.path), 0)
    full_in, left_bytes = "", above_margin(drive.free_bytes, snapshot.margin_bytes)
    if drive.takes_plots and not drive.full and not stale and left_bytes and rate:
        full_in = f"full in {in_days(left_bytes / rate)}"
    plots = "? plots" if drive.counted_plots is None else counted(drive.counted_plots, "plot")
    plots += f", {human_bytes(drive.reserved_bytes)} reserved" if drive.reserved_bytes else ""
    return DriveBar(
        host=shown_host,
        path=short(drive.path),
        percent=None if share is None else round(100 * share),
        state=one_line(word, 100),
        plots=plots,
        free="" if left_bytes is None else f"{human_bytes(left_bytes)} free",
        full_in=full_in,
        kind=kind or ("full" if drive.full else ""),
        buttons=_drive_buttons(host, drive.path, drive.use) if orders and not stale else (),
    )


def _drive_buttons(host: str, path: str, use: DriveUse) -> tuple[Button, ...]:
    where = f"{one_line(host, LONGEST_NAME)}:{one_line(path)}"
    if use is DriveUse.DISABLED or len(path) > LONGEST_TEXT:  # the page does not show all of its name
        return ()
    if use is DriveUse.DRAINING:
        return (
            Button("Undrain", "undrain", host, place=path, question=f"Let new plots go to {where} again?"),
        )
    return (Button("Drain", "drain", host, place=path, question=f"Let no new plots go to {where}?"),)
