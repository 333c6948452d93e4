"""Plots that a harvester did not take, and the word that sends them again."""

from __future__ import annotations

from common.errors import ManyPlots, NoSuchPlot
from common.handles import fits_file
from common.names import RESEND, Role
from common.snapshot import PlotState
from plotman.control.asking import ask, plotters
from plotman.control.farm import board

_CURE = "`plotman status` shows them; name its path and --host."


def resend(host: str, plot: str) -> str:
    """Send it again; what the plotter answers. Raises PlotmanError."""
    return str(ask(RESEND, host, plot=plot))


def holder_of(plot: str, host: str | None) -> str:
    """The plotter that has this refused plot: its path, its name or the start of its id. Raises NoSuchPlot,
    ManyPlots; NobodyThere where the named host is not there."""
    if not plot:
        raise NoSuchPlot("No plot is named: its path, its name or the start of its id.", _CURE)
    if host is not None:
        return plotters(host)[0]
    having = [
        name
        for name, snapshot in board().snapshots(Role.PLOTTER).items()
        for one in snapshot.plots
        if one.state is PlotState.REFUSED and fits_file(plot, one.path)
    ]
    if len(having) == 1:
        return str(having[0])
    if having:
        raise ManyPlots(f"{plot} names {len(having)} refused plots of the farm.", _CURE)
    raise NoSuchPlot(f"{plot} names no refused plot of the farm.", _CURE)
