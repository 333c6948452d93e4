"""Each plot moves once at a time in the farm: its id counts, not the host or the path where it is listed.

Any plotter may list any id, and may write any move into its own records. So a record binds other plotters
only if this beat ordered its move, or a harvester confirms it. An ordered move of another plotter only delays
a plot, for PATIENCE. A harvester's word counts for longer: that a plot arrives there, or was taken in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from beat.policy.moves.source import Source
from common.model.board_state import BoardState
from common.model.pending import MoveStep, PendingMove, under_way
from common.model.plot_name import plot_id_of
from common.model.snapshot import FinishedPlot, Wait
from common.names import MOVE_LIFETIME

# Longer than a harvester keeps a part for a plotter that sends nothing, so that the next one gets its place.
PATIENCE = timedelta(minutes=20)
# How long a plot waits for a harvester that says that it has the plot, and may not get it or does not report.
LONGEST = timedelta(days=1)
# A beat that has just begun does not know what another one ordered. By then, harvesters show what arrives.
_LEARNS = timedelta(minutes=1)
# An order to reserve that no worker has taken by then has expired, and the answer takes far less.
_RESERVES = 2 * MOVE_LIFETIME
# How long a worker that was stopped in order may take to start again.
_RESTARTS = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Claim:
    """`host` moves the plot at `path` to `harvester`."""

    host: str
    path: str
    harvester: str


@dataclass(frozen=True, slots=True)
class Contest:
    """When this beat saw for the first and the last time that others keep a plot waiting."""

    first: datetime
    last: datetime


# Plot id, host, and how long its plot may be kept waiting.
_Key = tuple[str, str, timedelta]
Contests = Mapping[_Key, Contest]
# The moves that this beat ordered, and when.
Orders = Mapping[Claim, datetime]


def is_learning(decides_since: datetime | None, now: datetime) -> bool:
    """Whether a beat that has decided since then does not know yet what another one ordered. None: it begins
    now."""
    return decides_since is None or now - decides_since <= _LEARNS


def is_arriving(board: BoardState, claim: Claim) -> bool:
    """Whether the harvester itself shows that the plot arrives from there."""
    harvester = board.harvesters.get(claim.harvester) or board.lost_harvesters.get(claim.harvester)
    plot_id = plot_id_of(claim.path)
    return harvester is not None and plot_id is not None and harvester.arriving.get(plot_id) == claim.host


def believed(
    moves: Mapping[str, Sequence[PendingMove]], board: BoardState, now: datetime
) -> Mapping[str, Sequence[PendingMove]]:
    """Return the records, `absent` only where the harvester itself does not show that the plot arrives: the
    plotter and every harvester may write a record, and a plot that another harvester gets is farmed twice.
    What was taken in is known to `PlotClaims.holder`. The last snapshot of a lost harvester, which shows for
    ever what arrived then, counts for LONGEST."""

    def checked(move: PendingMove) -> PendingMove:
        lost = board.lost_harvesters.get(move.harvester)
        shown = board.harvesters.get(move.harvester) or lost
        plot_id = plot_id_of(move.path)
        if shown is not None and (
            plot_id not in shown.arriving or (shown is lost and now - lost.at > LONGEST)
        ):
            return move
        return move.model_copy(update={"absent": False})

    return {
        host: [checked(move) if move.absent else move for move in records]
        if any(move.absent for move in records)
        else records
        for host, records in moves.items()
    }


class PlotClaims:
    """Which plots are on their way or taken in. Changes while a round is planned: each move is added.

    counted: by plotter, the records of moves under way that take space and turns from other plotters.

    Args:
        moves: records by plotter, after this round's admissions.
        contests: as they were after the last round.
        orders: as they were after the last round.
        decides_since: when this beat began to decide; None: now.
    """

    def __init__(
        self,
        board: BoardState,
        moves: Mapping[str, Sequence[PendingMove]],
        now: datetime,
        contests: Contests,
        orders: Orders | None = None,
        decides_since: datetime | None = None,
    ) -> None:
        self._now = now
        self._learns = is_learning(decides_since, now)
        self._board = board
        self._known = orders or {}
        self._orders = {
            claim: since for claim, since in self._known.items() if abs(now - since) <= MOVE_LIFETIME
        }
        self._live = board.harvesters
        self._harvesters = {**board.lost_harvesters, **board.harvesters}
        self._contests = {key: seen for key, seen in contests.items() if abs(now - seen.last) <= PATIENCE}
        self._claims: dict[str, list[Claim]] = {}
        # What binds only the other files of the same host.
        self._own: dict[tuple[str, str], list[Claim]] = {}
        self.counted: dict[str, list[PendingMove]] = {}
        for host, records in moves.items():
            for move in records:
                if under_way(move, now) and self._add(
                    Claim(host, move.path, move.harvester), move.step is MoveStep.RESERVE
                ):
                    self.counted.setdefault(host, []).append(move)
        for host, archiver in board.archivers.items():
            for transfer in archiver.transfers:
                self._add(Claim(host, transfer.path, transfer.harvester))

    @property
    def contests(self) -> Contests:
        """For the next round."""
        return self._contests

    @property
    def orders(self) -> Orders:
        """For the next round."""
        return self._orders

    def wait(self, host: str, plot: FinishedPlot) -> Wait | None:
        """Return why a plot of `host` must not move now: another file with its id is on its way."""
        plot_id = plot_id_of(plot.path)
        own = self._own.get((host, plot_id), ()) if plot_id else ()
        for claim in (*own, *self._claims.get(plot_id, ())) if plot_id else ():
            if (claim.host, claim.path) == (host, plot.path):
                continue
            until = None
            if claim.host != host:
                patience = LONGEST if is_arriving(self._board, claim) else PATIENCE
                until = self._until(plot_id, host, patience)
                if until <= self._now:
                    continue
            source = "" if claim.host == host else f"{claim.host}:"
            return Wait(
                host=host,
                rule="same plot",
                reason=f"the same plot, {source}{claim.path}, is on its way to {claim.harvester}",
                subject=plot.path,
                numbers={},
                until=until,
            )
        return None

    def holder(
        self, snapshot: Source, plot: FinishedPlot, former: PendingMove | None, but_for: str | None = None
    ) -> str | Wait | None:
        """Return the harvester that must get a plot if any does, or why the plot waits for one.

        It took the plot in, and only compares now; or another plotter's move goes there, shows no progress,
        and the harvester knows which of the two is real. None: any may have it.

        Args:
            snapshot: of the plotter.
            plot: may move now, by `wait`.
            former: record of the plot's last move, which expired or failed; None if there is none. The
                harvester that it names is not asked again because of another plotter's move.
            but_for: a harvester whose copy does not count.
        """
        plot_id = plot_id_of(plot.path)
        if plot_id is None:
            return None
        tried = former.harvester if former is not None else None
        having = [
            name
            for name, plots in self._taken_in.items()
            if name != but_for
            and (plot_id in plots or (name in self._live and plot_id in self._live[name].arriving))
        ]
        coming = [
            claim.harvester
            for claim in self._claims.get(plot_id, ())
            if claim.host != snapshot.host and claim.harvester != tried
        ]
        if having and (until := self._until(plot_id, snapshot.host, LONGEST)) <= self._now:
            having = []
        for name in (*having, *coming):
            if name in self._live and (not snapshot.harvesters or name in snapshot.harvesters):
                return name
        if not having:
            return None
        name = having[0]
        why = "archiving.harvesters does not name it" if name in self._live else "it does not report"
        return Wait(
            host=snapshot.host,
            rule="taken in",
            reason=f"harvester {name} has taken this plot in, and {why}",
            subject=plot.path,
            numbers={},
            until=until,
        )

    def restart(self, snapshot: Source, plot: FinishedPlot, harvester: str) -> Wait | None:
        """Return why a plot waits for the harvester that has a part of it: it was stopped in order a moment
        ago, as for an upgrade. None: it was not."""
        last = None if harvester in self._live else self._harvesters.get(harvester)
        if last is None or not last.stopped or abs(self._now - last.at) >= _RESTARTS:
            return None
        return Wait(
            host=snapshot.host,
            rule="harvester",
            reason=f"harvester {harvester}, which has a part of this plot, was just stopped",
            subject=plot.path,
            numbers={},
            until=last.at + _RESTARTS,
        )

    @cached_property
    def _taken_in(self) -> dict[str, frozenset[str]]:
        """Ids of plots by harvester. Made only if a plot may move."""
        return {name: frozenset(harvester.taken_in) for name, harvester in self._harvesters.items()}

    def take(self, host: str, plot: FinishedPlot, harvester: str) -> None:
        """Count a move that is ordered now. The next one against others' claims waits again."""
        claim, plot_id = Claim(host, plot.path, harvester), plot_id_of(plot.path)
        self._orders[claim] = self._now
        if plot_id is not None:
            self._claims.setdefault(plot_id, []).append(claim)
        if plot_id is not None:
            self._contests.pop((plot_id, host, PATIENCE), None)
            if plot_id not in self._taken_in.get(harvester, ()):
                self._contests.pop((plot_id, host, LONGEST), None)

    def _add(self, claim: Claim, reserves: bool = False) -> bool:
        """Note a move under way. Returns whether it takes space and turns from other hosts.

        reserves: it has no reservation yet. So no part of the plot proves that it will get one.
        """
        plot_id, since = plot_id_of(claim.path), self._known.get(claim)
        if since is not None:
            self._orders[claim] = since
        ordered = since is not None and (not reserves or abs(self._now - since) <= _RESERVES)
        binds = self._learns or ordered
        proved = not binds and is_arriving(self._board, claim)
        if plot_id is not None and (binds or proved):
            self._claims.setdefault(plot_id, []).append(claim)
        elif plot_id is not None:
            self._own.setdefault((claim.host, plot_id), []).append(claim)
        return binds or (proved and not reserves)

    def _until(self, plot_id: str | None, host: str, patience: timedelta) -> datetime:
        """Return until when this plot waits, and note that it does."""
        key = (plot_id or "", host, patience)
        seen = self._contests.get(key)
        first = min(seen.first, self._now) if seen is not None else self._now
        self._contests[key] = Contest(first, self._now)
        return first + patience
