"""Which finished plots of a plotter host are moved now, to which harvester, and why the others wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from beat.policy.decision import Move
from beat.policy.moves.harvester import HarvesterCapacity, choose, harvester_capacities
from beat.policy.moves.priority import by_priority
from beat.policy.moves.target import TargetCapacity, target_for, to_target
from common.model.holds import sentence
from common.model.pending import SENT, PendingMove, may_have_it, under_way
from common.model.snapshot import (
    ArchiverSnapshot,
    FinishedPlot,
    HarvesterSnapshot,
    PlotState,
    PlotterSnapshot,
    Wait,
)

# Reasons for plots that are not moved, if their host gives none.
_REASONS = {
    PlotState.OPEN: "a process is still writing it",
    PlotState.TRUNCATED: "it is shorter than its header says",
    PlotState.FOREIGN: "it has a plot's name, but is not a plot",
    PlotState.MISNAMED: "it is a plot, but has no plot's name",
    PlotState.REFUSED: "the harvester refused it",
}


def plan_moves(
    snapshot: PlotterSnapshot,
    archiver: ArchiverSnapshot | None,
    moves: Sequence[PendingMove],
    harvesters: Mapping[str, HarvesterSnapshot],
    now: datetime,
    *,
    capacities: dict[str, HarvesterCapacity] | None = None,
    at_once: int = 1,
    target_capacity: TargetCapacity | None = None,
) -> tuple[tuple[Move, ...], tuple[Wait, ...]]:
    """Plan the moves of one plotter host.

    Args:
        archiver: of the same host; None if it is not alive.
        moves: records of the host's moves, also expired and failed ones.
        harvesters: live ones.
        capacities: of all harvesters after the moves of all plotters; the planned moves are added to them.
            None: computed from `harvesters` and `moves`.
        at_once: plots that may be sent from the host at a time; to a target of 0.5.3, always one.
        target_capacity: of all targets of 0.5.3; the planned moves are added to it. None: computed from this
            host's.

    Returns:
        Moves to order at `now`, and one wait for each finished plot that neither moves nor is ordered to.
    """
    if not snapshot.archiving or not snapshot.plots:
        return (), ()
    if capacities is None:
        capacities = harvester_capacities(harvesters, moves, now)
    records = {move.path: move for move in moves}
    running = {move.path: move for move in moves if under_way(move, now)}
    # A harvester may check a plot for minutes; the next one is sent meanwhile.
    sending = {path: move.harvester for path, move in running.items() if move.step not in SENT}
    if archiver is not None and archiver.target is not None:
        sending = {path: move.harvester for path, move in running.items()}
        at_once = 1
    if archiver is not None:
        sending |= {transfer.path: transfer.harvester for transfer in archiver.transfers}
    if target_capacity is None:
        target_capacity = TargetCapacity(
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
            _to_harvester(snapshot, plot, record, capacities, attempts)
            if target is None
            else to_target(snapshot, plot, target, record, target_capacity, attempts)
        )
        if isinstance(move, Wait):
            waits.append(move)
        else:
            through_receiver = archiver is None or move.harvester not in archiver.routed
            ordered.append(replace(move, through_receiver=through_receiver))
            sending[plot.path] = move.harvester
    return tuple(ordered), tuple(waits)


def _to_harvester(
    snapshot: PlotterSnapshot,
    plot: FinishedPlot,
    record: PendingMove | None,
    capacities: Mapping[str, HarvesterCapacity],
    attempts: int,
) -> Move | Wait:
    harvester = choose(snapshot, plot, record, capacities)
    if isinstance(harvester, Wait):
        return harvester
    capacities[harvester].add(plot.size_bytes)
    return Move(snapshot.host, plot, harvester, attempts)


def not_ready(snapshot: PlotterSnapshot, plot: FinishedPlot) -> Wait | None:
    """Only complete plots that no process writes are moved."""
    if plot.state is PlotState.READY:
        return None
    reason = plot.reason or _REASONS[plot.state]
    return Wait(host=snapshot.host, rule=plot.state.value, reason=reason, subject=plot.path, numbers={})


def no_archiver(
    snapshot: PlotterSnapshot, plot: FinishedPlot, archiver: ArchiverSnapshot | None
) -> Wait | None:
    """Nothing is reserved without an archiver that sends: other plots may need the space."""
    if archiver is not None:
        return None
    reason = f"archiver@{snapshot.host} is not running: `plotman up` on {snapshot.host} starts it"
    return Wait(host=snapshot.host, rule="archiver", reason=reason, subject=plot.path, numbers={})


def paused(
    snapshot: PlotterSnapshot, plot: FinishedPlot, record: PendingMove | None, now: datetime
) -> Wait | None:
    """An operator paused archiving: no transfer begins. A plot that is sent completely does not wait."""
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
    """A failed move is tried again after a pause, which grows with the number of failures."""
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
    """At most `at_once` plots of a host are sent at a time."""
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
