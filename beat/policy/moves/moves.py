"""Which finished plots of one plotter host are moved now, to which harvester, and why the others wait."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from beat.policy.decision import Move
from beat.policy.moves.harvester import HarvesterCapacity, choose, resumes
from beat.policy.moves.same_plot import PlotClaims
from beat.policy.moves.source import EvacuatedDrive, Source
from beat.policy.moves.target import TargetCapacity, target_for, to_target
from common.model.holds import sentence
from common.model.pending import SENT, MoveStep, PendingMove, may_have_it, under_way
from common.model.plot_name import plot_id_of
from common.model.snapshot import ArchiverSnapshot, FinishedPlot, PlotState, Wait

# Plots of a host for which a harvester is searched in vain; to search for thousands would take seconds.
_REFUSALS_MAX = 100
# Reasons for plots that are not moved, if their host gives none.
_REASONS = {
    PlotState.OPEN: "a process is still writing it",
    PlotState.TRUNCATED: "it is shorter than its header says",
    PlotState.FOREIGN: "it has a plot's name, but is not a plot",
    PlotState.MISNAMED: "it is a plot, but has no plot's name",
    PlotState.REFUSED: "the harvester refused it",
}


class HostMoves:
    """The moves of one plotter host, or of one evacuated drive, in this round, planned one at a time.

    sending: plots under way, by path: the harvester. It grows with each planned move.
    waits: one for each finished plot that neither moves nor is ordered to.
    """

    def __init__(
        self,
        snapshot: Source,
        plots: Iterable[FinishedPlot],
        at_once: int,
        archiver: ArchiverSnapshot | None,
        moves: Sequence[PendingMove],
        now: datetime,
    ) -> None:
        """Begin to plan.

        Args:
            plots: those to be moved, in this order.
            at_once: how many may be sent from the host at a time.
            archiver: of the same host; None if it is not alive.
            moves: records of the host's moves, also expired and failed ones.
        """
        self._snapshot, self._archiver, self._now = snapshot, archiver, now
        self._records = {move.path: move for move in moves}
        # A harvester may have a part of a plot whose path has changed since.
        self._begun = {plot_id_of(move.path): move for move in moves if move.step is MoveStep.TRANSFER}
        self._running = {move.path: move for move in moves if under_way(move, now)}
        self._at_once = at_once
        # A harvester may check a plot for minutes; the next one is sent meanwhile.
        self.sending = {path: move.harvester for path, move in self._running.items() if move.step not in SENT}
        if archiver is not None and archiver.target is not None:
            self.sending = {path: move.harvester for path, move in self._running.items()}
            self._at_once = 1
        if archiver is not None:
            self.sending |= {transfer.path: transfer.harvester for transfer in archiver.transfers}
        self.waits: list[Wait] = []
        self._refusals: list[Wait] = []
        self._plots = iter(plots)

    @property
    def full(self) -> bool:
        """Whether the host sends as many plots as it may at a time."""
        return len(self.sending) >= self._at_once

    def next_move(
        self,
        capacities: Mapping[str, HarvesterCapacity],
        target_capacity: TargetCapacity,
        claims: PlotClaims,
    ) -> Move | None:
        """Plan one more move; None if nothing more moves.

        Args:
            capacities: of all harvesters; the move is added to them.
            target_capacity: of all targets of 0.5.3; the move is added to it.
            claims: plots on their way or taken in; the move is added to them.
        """
        snapshot, archiver, now, sending = self._snapshot, self._archiver, self._now, self.sending
        for plot in self._plots:
            if plot.path in self._running or plot.path in sending:
                continue
            record = self._records.get(plot.path)
            wait = (
                not_ready(snapshot, plot)
                or no_archiver(snapshot, plot, archiver)
                or paused(snapshot, plot, record, now)
                or claims.wait(snapshot.host, plot)
                or retry(snapshot, plot, record, now)
                or busy(snapshot, plot, sending, self._at_once)
            )
            move = wait or self._to(plot, record, capacities, target_capacity, claims)
            if isinstance(move, Wait):
                self.waits.append(move)
                continue
            sending[plot.path] = move.harvester
            claims.take(snapshot.host, plot, move.harvester)
            through_receiver = archiver is None or move.harvester not in archiver.routed
            return replace(move, through_receiver=through_receiver)
        return None

    def _to(
        self,
        plot: FinishedPlot,
        record: PendingMove | None,
        capacities: Mapping[str, HarvesterCapacity],
        targets: TargetCapacity,
        claims: PlotClaims,
    ) -> Move | Wait:
        """Plan where a plot goes that nothing keeps here."""
        if len(self._refusals) >= _REFUSALS_MAX:
            return self._refusals[-1].model_copy(update={"subject": plot.path})
        target = target_for(self._archiver, plot, record)
        former = record or (self._begun.get(plot_id) if (plot_id := plot_id_of(plot.path)) else None)
        attempts = 0 if record is None else record.attempts
        move = (
            _to_harvester(self._snapshot, plot, former, capacities, claims, attempts)
            if target is None
            else to_target(self._snapshot, plot, target, record, targets, attempts)
        )
        if isinstance(move, Wait):
            self._refusals.append(move)
        return move


def _to_harvester(
    snapshot: Source,
    plot: FinishedPlot,
    former: PendingMove | None,
    capacities: Mapping[str, HarvesterCapacity],
    claims: PlotClaims,
    attempts: int,
) -> Move | Wait:
    if former is not None and resumes(snapshot, former):
        restart = claims.restart(snapshot, plot, former.harvester)
        if restart is not None:
            return restart
    harvester: str | Wait | None = None
    if may_have_it(plot.copied_to, former) is None:
        # Its own harvester has taken the plot in: that is the copy which is to leave its drive.
        but_for = snapshot.host if isinstance(snapshot, EvacuatedDrive) else None
        harvester = claims.holder(snapshot, plot, former, but_for)
    harvester = harvester or choose(snapshot, plot, former, capacities)
    if isinstance(harvester, Wait):
        return harvester
    capacities[harvester].add(plot.size_bytes)
    return Move(snapshot.host, plot, harvester, attempts)


def not_ready(snapshot: Source, plot: FinishedPlot) -> Wait | None:
    """Only complete plots that no process writes are moved."""
    if plot.state is PlotState.READY:
        return None
    reason = plot.reason or _REASONS[plot.state]
    return Wait(host=snapshot.host, rule=plot.state.value, reason=reason, subject=plot.path, numbers={})


def no_archiver(snapshot: Source, plot: FinishedPlot, archiver: ArchiverSnapshot | None) -> Wait | None:
    """Nothing is reserved without an archiver that sends: other plots may need the space."""
    if archiver is not None:
        return None
    reason = f"archiver@{snapshot.host} is not running: `plotman up` on {snapshot.host} starts it"
    return Wait(host=snapshot.host, rule="archiver", reason=reason, subject=plot.path, numbers={})


def paused(snapshot: Source, plot: FinishedPlot, record: PendingMove | None, now: datetime) -> Wait | None:
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


def retry(snapshot: Source, plot: FinishedPlot, record: PendingMove | None, now: datetime) -> Wait | None:
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


def busy(snapshot: Source, plot: FinishedPlot, sending: Mapping[str, str], at_once: int) -> Wait | None:
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
