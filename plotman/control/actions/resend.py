"""Plots that wait for `plotman resend`: find them, and send them again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from common.errors import ManyPlots, NoSuchPlot, OrderRefused
from common.model.pending import may_have_it
from common.model.plot_name import fits_file
from common.model.snapshot import PlotState
from common.model.targets import label
from common.names import RESEND, Role
from common.store.board_reader import BoardReader
from plotman.control.rpc import ask, plotters

_CURE = "`plotman status` shows them; name its path and --host."


@dataclass(frozen=True)
class StuckPlot:
    """A finished plot on a plotter.

    plot: its path, or the selector that the operator gave.
    lost: silent harvester that may have it; None: a harvester refused it.
    """

    host: str
    plot: str
    lost: str | None = None

    @property
    def warning(self) -> str:
        """The risk of sending it again; empty if there is none."""
        if self.lost is None:
            return ""
        return (
            f"Harvester {self.lost} may have {self.plot} already. If that machine comes back with this plot, "
            "it is farmed twice: then delete it there."
        )


def resend(stuck: StuckPlot) -> str:
    """Send it again; returns the plotter's answer. Raises PlotmanError."""
    if stuck.lost is None:
        return str(ask(RESEND, stuck.host, plot=stuck.plot))
    return str(ask(RESEND, stuck.host, plot=stuck.plot, lost=stuck.lost))


def find(at: BoardReader, plot: str, host: str | None) -> StuckPlot:
    """Find the plot to send again. plot: its path, its file name or the start of its id.

    Raises:
        NoSuchPlot, ManyPlots: none or several fit.
        NoAnswer: the plotter is silent.
        OrderRefused: the harvester that may have the plot is alive.
    """
    if not plot:
        raise NoSuchPlot("No plot is named: its path, its name or the start of its id.", _CURE)
    if host is not None:
        (host,) = plotters(host)
    having = [stuck for stuck in _stuck(at, host) if fits_file(plot, stuck.plot)]
    waiting = [stuck for stuck in having if stuck.lost is None or stuck.lost not in _there(at, stuck.host)]
    if len(waiting) == 1:
        return waiting[0]
    if waiting:
        raise ManyPlots(f"{plot} names {len(waiting)} plots that wait for `plotman resend`.", _CURE)
    if having:
        raise OrderRefused(
            f"Harvester {having[0].lost}, which may have {having[0].plot}, is running.",
            "It checks its drives; if it lacks the plot, plotman sends it by itself: see `plotman why`.",
        )
    if host is not None:
        return StuckPlot(host, plot)  # the plotter may know more than its snapshot shows
    raise NoSuchPlot(f"{plot} names no plot that was refused, or waits for a harvester.", _CURE)


def _stuck(at: BoardReader, only: str | None) -> Iterator[StuckPlot]:
    """only: this plotter; None: all that are alive."""
    snapshots = at.snapshots(Role.PLOTTER)
    moves = at.moves(list(snapshots))
    for host, snapshot in snapshots.items():
        records = {move.path: move for move in moves.get(host, ())}
        for plot in snapshot.plots if only in (None, host) else ():
            if plot.state is PlotState.REFUSED:
                yield StuckPlot(host, plot.path)
            elif holder := may_have_it(plot.copied_to, records.get(plot.path)):
                yield StuckPlot(host, plot.path, holder)


def _there(at: BoardReader, plotter: str) -> set[str]:
    """Return the live harvesters, and the plotter's own target of 0.5.3."""
    archiver = at.snapshots(Role.ARCHIVER).get(plotter)
    target = archiver.target if archiver is not None else None
    return {*at.snapshots(Role.HARVESTER), *([label(target.name)] if target is not None else [])}
