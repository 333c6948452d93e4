"""Which plots of evacuated drives are moved now. Plots of plotters come first: these are planned after all of
them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from beat.policy.decision import Move, cannot_be_evaluated
from beat.policy.moves.harvester import harvester_capacities
from beat.policy.moves.moves import HostMoves
from beat.policy.moves.same_plot import PlotClaims
from beat.policy.moves.source import EvacuatedDrive
from beat.policy.moves.target import TargetCapacity
from common.model.board_state import BoardState
from common.model.pending import MoveStep, PendingMove, under_way
from common.model.snapshot import Evacuating, Wait

# One transfer of a host at a time, whatever else it sends: an evacuation lasts for days, and must not slow
# the farm down.
_AT_ONCE = 1
# The pause after the first failure is shorter.
_SOON = timedelta(seconds=20)
# Waits of single plots that are shown of each drive.
_WAITS_SHOWN = 5


def plan_evacuations(
    board: BoardState,
    moves: Mapping[str, Sequence[PendingMove]],
    claims: PlotClaims,
    ordered: Sequence[Move],
    now: datetime,
) -> tuple[list[Move], dict[str, tuple[Wait, ...]]]:
    """Plan the moves from evacuated drives, one for each host at most.

    Args:
        moves: records by host, after this round's admissions.
        claims: plots on their way or taken in; the ordered moves are added.
        ordered: moves of plotters that are ordered in this round.

    Returns:
        The moves to order, and by host why the others wait.
    """
    # What has no part file yet, so that no drive shows its bytes: by harvester.
    taken = [(move.harvester, move.plot.size_bytes) for move in ordered]
    for records in claims.counted.values():
        reserving = (move for move in records if move.step is MoveStep.RESERVE)
        taken += [(move.harvester, move.size_bytes) for move in reserving]
    found: list[Move] = []
    waits: dict[str, tuple[Wait, ...]] = {}
    for host, snapshot in board.harvesters.items():
        if not snapshot.evacuations:
            continue
        try:
            planned, why = _plan(board, host, moves, claims, ordered, taken, now)
        except Exception as error:  # noqa: BLE001
            waits[host] = (cannot_be_evaluated(host, error),)
            continue
        found += planned
        if why:
            waits[host] = why
    return found, waits


def _plan(
    board: BoardState,
    host: str,
    moves: Mapping[str, Sequence[PendingMove]],
    claims: PlotClaims,
    ordered: Sequence[Move],
    taken: list[tuple[str, int]],
    now: datetime,
) -> tuple[list[Move], tuple[Wait, ...]]:
    snapshot = board.harvesters[host]
    # Its target of plotman 0.5.3, if it has one, is for plots of plotters.
    archiver = board.archivers.get(host)
    archiver = archiver.model_copy(update={"target": None}) if archiver is not None else None
    sending = {move.plot.path: move.harvester for move in ordered if move.host == host}
    found: list[Move] = []
    waits: list[Wait] = []
    for entry in snapshot.evacuations:
        drive = EvacuatedDrive.of(snapshot, entry, board.plotters.get(host))
        if drive is None:
            reason = f"{entry.drive} cannot be read and written now, and its evacuation waits"
            waits.append(Wait(host=host, rule="evacuation", reason=reason, subject=entry.drive))
            continue
        seen = {name: drive.seen_at(harvester) for name, harvester in board.harvesters.items()}
        fits = harvester_capacities(seen, claims.counted, now)
        for harvester, size_bytes in taken:
            if harvester in fits:
                fits[harvester].add(size_bytes)
        plan = HostMoves(drive, drive.plots, _AT_ONCE, archiver, moves.get(host, ()), now)
        plan.sending |= sending
        # Where a drive takes one plot at a time, the next one would find no place until this one is admitted.
        plan.sending |= {
            record.path: record.harvester
            for record in moves.get(host, ())
            if under_way(record, now) and record.step is not MoveStep.RELEASE
        }
        begun = any(_resumes_soon(record, entry.drive, now) for record in moves.get(host, ()))
        move = None if plan.full or begun else plan.next_move(fits, TargetCapacity({}, {}, now), claims)
        if move is not None:
            taken.append((move.harvester, move.plot.size_bytes))
            sending[move.plot.path] = move.harvester
            found.append(replace(move, evacuates=True, drives=drive.drives.get(move.harvester, ())))
        waits += _shown(entry, plan.waits)
    return found, tuple(waits)


def _resumes_soon(record: PendingMove, drive: str, now: datetime) -> bool:
    """Whether a transfer that was cut once is resumed in a moment. The next plot of the drive would take its
    place: harvesters then give its part up."""
    cut = record.step is MoveStep.TRANSFER and record.attempts == 1
    return (
        cut
        and record.path.rpartition("/")[0] == drive
        and record.retry_at is not None
        and now < record.retry_at <= now + _SOON
    )


def _shown(entry: Evacuating, waits: Sequence[Wait]) -> list[Wait]:
    """The waits for operators: one of the drive instead of one for each of its plots, but for those that
    failed before."""
    failed = [wait for wait in waits if wait.rule == "retry"]
    others = [wait for wait in waits if wait.rule not in ("retry", "moves")]
    only = f"; only {', '.join(entry.to)} may take its plots, by --to" if entry.to else ""
    return [
        *(
            wait.model_copy(update={"subject": entry.drive, "reason": f"{wait.reason}{only}"})
            for wait in others[:1]
        ),
        *failed[:_WAITS_SHOWN],
    ]
