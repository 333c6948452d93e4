"""Which finished plots of a plotter host are moved now, to which harvester, and why the others wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from beat.policy.decision import Move
from beat.policy.moves.harvester import choose
from beat.policy.moves.harvester_capacity import HarvesterCapacity, harvester_capacities
from beat.policy.moves.priority import archive_priority
from beat.policy.moves.target import target_for, to_target
from beat.policy.moves.target_capacity import TargetCapacity
from common.model.disk_usage import trimmed
from common.model.holds import sentence
from common.model.pending import SENT, PendingMove, may_have_it, under_way
from common.model.phase import PhasePair, pair
from common.model.snapshot import (
    ArchiverSnapshot,
    FinishedPlot,
    HarvesterSnapshot,
    PlotState,
    PlotterSnapshot,
    Wait,
)

# For plots that are not moved, where their host gives no words of its own.
_WORDS = {
    PlotState.OPEN: "somebody still writes it",
    PlotState.TRUNCATED: "it is shorter than its header says",
    PlotState.FOREIGN: "it is named like a plot, but is none",
    PlotState.MISNAMED: "it is a plot, but not named so",
    PlotState.REFUSED: "the harvester did not take it",
}


def plan_moves(
    snapshot: PlotterSnapshot,
    archiver: ArchiverSnapshot | None,
    moves: Sequence[PendingMove],
    harvesters: Mapping[str, HarvesterSnapshot],
    now: datetime,
    *,
    berths: dict[str, HarvesterCapacity] | None = None,
    at_once: int = 1,
    places: TargetCapacity | None = None,
) -> tuple[tuple[Move, ...], tuple[Wait, ...]]:
    """Moves to order at `now`, and one wait for each finished plot that neither moves nor starts to.

    archiver: of the same host; None where it is not alive: nobody would send.
    moves: records of the host's moves, also expired and failed ones.
    harvesters: those that are alive.
    berths: room at all harvesters beside the moves of all plotters; takes up what is decided here. None:
        made from `harvesters` and `moves`.
    at_once: plots that may be sent from one host at a time; to a target of 0.5.3 one moves at a time.
    places: those of all targets of 0.5.3; takes up what is decided here. None: made from this host's.
    """
    if not snapshot.archiving or not snapshot.plots:
        return (), ()
    if berths is None:
        berths = harvester_capacities(harvesters, moves, now)
    records = {move.path: move for move in moves}
    running = {move.path: move for move in moves if under_way(move, now)}
    # A harvester checks what it has been sent while the next plot is on its way, be it for minutes.
    sending = {path: move.harvester for path, move in running.items() if move.step not in SENT}
    if archiver is not None and archiver.target is not None:
        sending = {path: move.harvester for path, move in running.items()}
        at_once = 1
    if archiver is not None:
        sending |= {transfer.path: transfer.harvester for transfer in archiver.transfers}
    if places is None:
        places = TargetCapacity(
            {} if archiver is None else {snapshot.host: archiver}, {snapshot.host: moves}, now
        )
    ordered: list[Move] = []
    waits: list[Wait] = []
    for plot in by_priority(snapshot):
        if plot.path in running or plot.path in sending:
            continue
        record = records.get(plot.path)
        target = target_for(archiver, plot, record)
        wait = (
            not_ready(snapshot, plot)
            or no_archiver(snapshot, plot, archiver)
            or paused(snapshot, plot, record, now)
            or retry(snapshot, plot, record, now)
            or busy(snapshot, plot, sending, at_once)
        )
        attempts = 0 if record is None else record.attempts
        move = wait or (
            _to_harvester(snapshot, plot, record, berths, attempts)
            if target is None
            else to_target(snapshot, plot, target, record, places, attempts)
        )
        if isinstance(move, Wait):
            waits.append(move)
        else:
            door = archiver is None or move.harvester not in archiver.routed
            ordered.append(replace(move, through_receiver=door))
            sending[plot.path] = move.harvester
    return tuple(ordered), tuple(waits)


def _to_harvester(
    snapshot: PlotterSnapshot,
    plot: FinishedPlot,
    record: PendingMove | None,
    berths: Mapping[str, HarvesterCapacity],
    attempts: int,
) -> Move | Wait:
    harvester = choose(snapshot, plot, record, berths)
    if isinstance(harvester, Wait):
        return harvester
    berths[harvester].send(plot.size_bytes)
    return Move(snapshot.host, plot, harvester, attempts)


def not_ready(snapshot: PlotterSnapshot, plot: FinishedPlot) -> Wait | None:
    """Only whole plots that nobody writes to are moved."""
    if plot.state is PlotState.READY:
        return None
    reason = plot.reason or _WORDS[plot.state]
    return Wait(host=snapshot.host, rule=plot.state.value, reason=reason, subject=plot.path, numbers={})


def no_archiver(
    snapshot: PlotterSnapshot, plot: FinishedPlot, archiver: ArchiverSnapshot | None
) -> Wait | None:
    """Room reserved for a plot that nobody sends would be lost to the others."""
    if archiver is not None:
        return None
    reason = f"archiver@{snapshot.host} is not there: `plotman up` on {snapshot.host} starts it"
    return Wait(host=snapshot.host, rule="archiver", reason=reason, subject=plot.path, numbers={})


def paused(
    snapshot: PlotterSnapshot, plot: FinishedPlot, record: PendingMove | None, now: datetime
) -> Wait | None:
    """A person wants no more transfers to begin. A plot of which all bytes have been sent is not held up."""
    hold = snapshot.archiving_paused
    if hold is None or may_have_it(plot.copied_to, record) is not None:
        return None
    return Wait(
        host=snapshot.host,
        rule="archiving paused",
        reason=sentence("archiving is paused", hold, now, snapshot.utc_offset_s),
        subject=plot.path,
        numbers={},
        until=hold.until if hold.until is not None and hold.until > now else None,
    )


def retry(
    snapshot: PlotterSnapshot, plot: FinishedPlot, record: PendingMove | None, now: datetime
) -> Wait | None:
    """A move that failed is tried again when its pause is over, with the count of its failures."""
    if record is None or record.retry_at is None or record.retry_at <= now:
        return None
    return Wait(
        host=snapshot.host,
        rule="retry",
        reason=record.reason or f"the move to {record.harvester} failed",
        subject=plot.path,
        numbers={"attempts": record.attempts, "rest_s": (record.retry_at - now).total_seconds()},
        until=record.retry_at,
    )


def busy(
    snapshot: PlotterSnapshot, plot: FinishedPlot, sending: Mapping[str, str], at_once: int
) -> Wait | None:
    """So many plots of a host are sent at once; the others queue up."""
    if len(sending) < at_once:
        return None
    path, harvester = next(iter(sending.items()))
    return Wait(
        host=snapshot.host,
        rule="moves",
        reason=f"moves {len(sending)}/{at_once}: {path.rpartition('/')[2]} is on its way to {harvester}",
        subject=plot.path,
        numbers={"moves": len(sending), "limit": at_once},
    )


def by_priority(snapshot: PlotterSnapshot) -> list[FinishedPlot]:
    """The host's finished plots in the order in which they shall go: directories by their priority, in
    each the oldest first; of directories with the same priority the one with the oldest plot."""
    lying: dict[str, list[FinishedPlot]] = {}
    for plot in sorted(snapshot.plots, key=lambda plot: (plot.since, plot.path)):
        lying.setdefault(plot.path.rpartition("/")[0], []).append(plot)
    if len(lying) > 1:
        furthest = _furthest(snapshot)
        free = _free(snapshot)
        priority = {
            directory: archive_priority(
                free.get(directory),
                furthest.get(directory),
                sum(plot.state is PlotState.READY for plot in plots),
            )
            for directory, plots in lying.items()
        }
        # `sorted` keeps the order of equals: that of their oldest plots.
        lying = {directory: lying[directory] for directory in sorted(lying, key=lambda d: -priority[d])}
    return [plot for plots in lying.values() for plot in plots]


def _furthest(snapshot: PlotterSnapshot) -> dict[str, PhasePair]:
    """Directory -> most advanced phase that is known of the plots on their way there."""
    found: dict[str, PhasePair] = {}
    for job in snapshot.jobs:
        if job.dst is not None and job.phase is not None:
            directory = trimmed(job.dst)
            found[directory] = max(found.get(directory, (0, 0)), pair(job.phase))
    return found


def _free(snapshot: PlotterSnapshot) -> dict[str, int | None]:
    tmp2 = () if snapshot.tmp2 is None else (snapshot.tmp2,)
    directories = (*snapshot.tmp_dirs, *tmp2, *snapshot.dst_dirs)
    return {trimmed(directory.path): directory.free_bytes for directory in directories}
