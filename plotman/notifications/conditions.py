"""Conditions: what is wrong with the farm at one moment, by the notice board. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Set
from dataclasses import dataclass

from common.model.clock import CLOCK_CURE, wrong_clock
from common.model.plot_name import SUFFIXES
from common.model.snapshot import DirState, Drive, PlotterSnapshot
from common.model.units import counted, human_duration
from common.names import Role, node
from plotman.control.farm import FarmState
from plotman.control.queries import scheduler_status

# By whether the worker was stopped in order.
_ABSENT = {
    True: "was stopped, and has not started again",
    False: "is silent: it has crashed, or lost power or network",
}
_REASONS = 3  # named for an idle farm


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is wrong or right now.

    what: its name, the same after restarts and for all notifiers. owner: node that reports it; None: none
    does.
    back: kind of the notification when it is right again; None: none is sent.
    raise_after_s, clear_after_s: how long it must have been wrong, or right, before it counts, since drives
        and networks fail for moments.
    """

    what: str
    wrong: bool
    kind: str
    host: str
    text: str
    owner: str | None = None
    subject: str | None = None
    plot_id: str | None = None
    back: str | None = None
    back_text: str = ""
    raise_after_s: float = 0
    clear_after_s: float = 0


def conditions(farm: FarmState, known: Set[str], idle_s: float) -> Iterator[Condition]:
    """Yield all conditions that are known now.

    Args:
        known: nodes that were ever seen; one that is not on the board (Redis lost its data) counts as silent.
        idle_s: how long a farm without running plots is not idle yet.
    """
    if farm.redis_trouble is None:  # else they may be well and cannot report
        yield from _scheduler(farm)
        yield from _hosts(farm, known)
    yield from _clocks(farm)
    yield from _full_folders(farm)
    for host, snapshot in farm.plotters.items():
        if (Role.PLOTTER, host) not in farm.stale:
            yield from _plotter(snapshot)
            yield from _directories(snapshot)
    for host, harvester in farm.harvesters.items():
        if (Role.HARVESTER, host) not in farm.stale:
            for drive in harvester.drives:
                yield from _drive(host, drive)
    yield from _idle(farm, idle_s)


def nodes(farm: FarmState) -> dict[str, bool]:
    """Return by node whether it is alive."""
    return {
        node(role, host): (role, host) not in farm.stale
        for role, snapshots in farm.snapshots.items()
        for host in snapshots
    }


def _scheduler(farm: FarmState) -> Iterator[Condition]:
    if farm.leader is None and not nodes(farm):
        return  # an empty board, perhaps since Redis lost its data: no host has announced itself again yet
    note = scheduler_status.note(farm)
    yield Condition(
        what="scheduler-lost", wrong=note is not None, kind="scheduler-lost", host="farm", text=note or "",
        back="scheduler-back", back_text="a scheduler decides again",
        # In addition to the minute of scheduler_status: at boot, the notifier may start before beat. Shorter
        # than the pause between two starts of a beat that crashes repeatedly and has the lease for a moment
        # each time.
        raise_after_s=20, clear_after_s=15,
    )  # fmt: skip


def _hosts(farm: FarmState, known: Set[str]) -> Iterator[Condition]:
    seen, stopped = nodes(farm), _stopped(farm)
    for name in sorted(known | set(seen)):
        role, _, host = name.partition("@")
        yield Condition(
            what=f"host-stale {name}", wrong=not seen.get(name, False), kind="host-stale", host=host,
            text=f"the {role} of {host} {_ABSENT[stopped.get(name, False)]}",
            back="host-back", back_text=f"the {role} of {host} is back",
            raise_after_s=120 if stopped.get(name) else 60,  # a restart is no alarm, nor is a reboot
            clear_after_s=15,
        )  # fmt: skip


def _stopped(farm: FarmState) -> dict[str, bool]:
    """Return by node whether its worker was stopped in order."""
    return {node(role, host): farm.snapshots[role][host].stopped for role, host in farm.stale}


def _full_folders(farm: FarmState) -> Iterator[Condition]:
    full = farm.full_folders()
    for host in sorted({host for _, host in _alive(farm)}):
        yield Condition(
            what=f"folder-full {host}", wrong=host in full, kind="folder-full", host=host,
            text=f"{host}: {full.get(host, '')}", back="folder-back",
            back_text=f"the folders of {host} take writes again", raise_after_s=20, clear_after_s=60,
        )  # fmt: skip


def _alive(farm: FarmState) -> Iterator[tuple[Role, str]]:
    return ((role, host) for role in Role for host in farm.alive(role))


def _clocks(farm: FarmState) -> Iterator[Condition]:
    for host, skew_s in farm.clock_skews().items():
        wrong = wrong_clock(skew_s)
        yield Condition(
            what=f"clock-wrong {host}", wrong=wrong is not None, kind="clock-wrong", host=host,
            text=f"the clock of {host} is {wrong}. {CLOCK_CURE}", back="clock-back",
            back_text=f"the clock of {host} is right again", raise_after_s=20, clear_after_s=60,
        )  # fmt: skip


def _plotter(snapshot: PlotterSnapshot) -> Iterator[Condition]:
    host, failures, owner = snapshot.host, snapshot.failures, node(Role.PLOTTER, snapshot.host)
    yield Condition(
        what=f"plotting-stopped {host}", wrong=failures.consecutive >= snapshot.failure_limit,
        kind="plotting-stopped", host=host, owner=owner,
        text=f"{counted(failures.consecutive, 'plotter')} in a row died at once, the last: "
        f"{failures.last_reason} Plotting is stopped; fix it, then `plotman unpause plotting --host {host}`",
    )  # fmt: skip
    for job in snapshot.jobs:
        yield Condition(
            what=f"plot-stalled {host} {job.task_id}", wrong=job.stalled is not None, kind="plot-stalled",
            host=host, owner=owner, subject=job.tmp, plot_id=job.plot_id,
            text=f"{job.plotter} (pid {job.pid}) in {job.tmp} is stalled: {job.stalled}", clear_after_s=60,
        )  # fmt: skip


def _directories(snapshot: PlotterSnapshot) -> Iterator[Condition]:
    tmp2 = () if snapshot.tmp2 is None else (snapshot.tmp2,)
    found = (*snapshot.tmp_dirs, *tmp2, *snapshot.dst_dirs)
    for path, state in {each.path: each.state for each in found}.items():
        if state is DirState.UNKNOWN:
            continue
        yield Condition(
            what=f"dir-lost {snapshot.host} {path}", wrong=state is not DirState.OK, kind="dir-lost",
            host=snapshot.host, owner=node(Role.PLOTTER, snapshot.host), subject=path,
            text=f"directory {path} is {state.value}", back="dir-back",
            back_text=f"directory {path} can be used again", raise_after_s=20, clear_after_s=20,
        )  # fmt: skip


def _drive(host: str, drive: Drive) -> Iterator[Condition]:
    owner = node(Role.HARVESTER, host)
    if drive.disk is not None and drive.disk.fails is not None:
        # Without an owner it is remembered while the harvester starts, and knows nothing of its disks yet.
        yield Condition(
            what=f"disk-fails {host} {drive.path}", wrong=drive.disk.fails, kind="disk-fails", host=host,
            subject=drive.path,
            text=f"the disk of {drive.path} ({', '.join(drive.disk.names)}) says that it is about to fail. "
            f"Move its plots: `plotman evacuate {shlex.quote(f'{host}:{drive.path}')}`",
        )  # fmt: skip
    if drive.word == DirState.UNKNOWN.value:
        return
    yield Condition(
        what=f"drive-lost {host} {drive.path}", wrong=drive.lost, kind="drive-lost", host=host, owner=owner,
        subject=drive.path, text=f"drive {drive.path} is {drive.word}", back="drive-back",
        back_text=f"drive {drive.path} is {drive.word} again", raise_after_s=20, clear_after_s=20,
    )  # fmt: skip
    if not drive.lost:  # whether a lost drive is full is not known
        yield Condition(
            what=f"drive-full {host} {drive.path}", wrong=drive.word == "full", kind="drive-full", host=host,
            owner=owner, subject=drive.path,
            text=f"drive {drive.path} is full, with {counted(drive.plots, 'plot')}", raise_after_s=20,
            clear_after_s=600,  # an interrupted transfer frees space for a moment
        )  # fmt: skip


def _idle(farm: FarmState, idle_s: float) -> Iterator[Condition]:
    alive = farm.alive(Role.PLOTTER)
    if not alive:
        return  # not known; other conditions report silent plotters
    yield Condition(
        what="farm-idle", wrong=not any(snapshot.jobs for snapshot in alive.values()), kind="farm-idle",
        host="farm", text=f"no plot has run for {human_duration(idle_s)}: {_why_idle(farm)}",
        back="farm-busy", back_text="plots are running again", raise_after_s=idle_s, clear_after_s=60,
    )  # fmt: skip


def _why_idle(farm: FarmState) -> str:
    if (nobody := scheduler_status.note(farm)) is not None:
        return nobody
    reasons: dict[str, str] = {}
    for wait in scheduler_status.waits(farm):
        if wait.host in farm.plotters and not (wait.subject or "").endswith(SUFFIXES):
            reasons.setdefault(wait.host, wait.reason)
    if not reasons:
        return "no reason is known"
    shown = [f"{host}: {reason}" for host, reason in sorted(reasons.items())]
    more = f"; and {len(shown) - _REASONS} more" if len(shown) > _REASONS else ""
    return "; ".join(shown[:_REASONS]) + more
