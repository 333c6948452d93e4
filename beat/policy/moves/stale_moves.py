"""Records of moves with nothing left to do: their plots are no longer on the plotter."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from common.model.disk_usage import trimmed
from common.model.figures import PLOTS_MAX
from common.model.pending import PendingMove
from common.model.snapshot import DirState, PlotterSnapshot

# A record of a silent plotter only shows which harvester has a part, and harvesters delete parts after two
# hours without a transfer. What was delivered or refused, the plotter itself remembers on its disk.
_USELESS_AFTER = timedelta(hours=3)


def stale_moves(
    plotters: Mapping[str, PlotterSnapshot],
    moves: Mapping[str, Sequence[PendingMove]],
    now: datetime,
    lost: Collection[str] = (),
) -> tuple[tuple[str, str], ...]:
    """Find records that no worker will update any more, as (host, path).

    The last message of a move was lost after the plot was delivered, or an operator removed the plot. Such
    records would count as moves under way, or as failing ones, for as long as the board keeps them. A record
    is stale only if its plotter is alive and can read the directory in which the plot lay; or if its plotter
    has been silent for hours, as one whose machine has another name now, and no delivery waits for beat.

    Args:
        plotters: live ones, by host.
        moves: records on the board, by plotter.
        lost: silent plotters.
    """
    of_live = (
        (host, move.path)
        for host, records in moves.items()
        if host in plotters
        for move in _without_plot(plotters[host], records)
        if move.expires_at <= now
    )
    of_lost = (
        (host, move.path)
        for host, records in moves.items()
        if host in lost
        for move in records
        if move.expires_at + _USELESS_AFTER <= now and move.delivery is None
    )
    return (*of_live, *of_lost)


def _without_plot(snapshot: PlotterSnapshot, records: Sequence[PendingMove]) -> Iterator[PendingMove]:
    if len(snapshot.plots) >= PLOTS_MAX:  # more may lie there than it lists
        return
    lying = {plot.path for plot in snapshot.plots}
    missing = [move for move in records if move.path not in lying]
    if not missing:
        return
    tmp2 = () if snapshot.tmp2 is None else (snapshot.tmp2,)
    looked_at = {
        trimmed(directory.path)
        for directory in (*snapshot.dst_dirs, *snapshot.tmp_dirs, *tmp2)
        if directory.state is DirState.OK
    }
    yield from (move for move in missing if move.path.rpartition("/")[0] in looked_at)
