"""Orders to plotters, as tasks that are waited for."""

from __future__ import annotations

from pathlib import PurePath

from common import config
from common.names import BANDWIDTH, RESEND, Role
from common.snapshot import PlotState
from plotman.control.asking import NobodyThere, ask, plotters
from plotman.control.farm import board


def bandwidth(host: str, bytes_s: int | None) -> str:
    """0: no limit; None: as its plotman.yaml says."""
    extra = {} if bytes_s is None else {"bytes_s": bytes_s}
    return str(ask(BANDWIDTH, host, **extra))


def resend(host: str, plot: str) -> str:
    return str(ask(RESEND, host, plot=plot))


def holder_of_refused(plot: str, host: str | None) -> str:
    """The plotter that has this refused plot: its path, its name or the start of its id. Raises NobodyThere
    where none or several do."""
    if host is not None:
        return plotters(host)[0]
    having = [
        name
        for name, snapshot in board().snapshots(Role.PLOTTER).items()
        for one in snapshot.plots
        if one.state is PlotState.REFUSED
        and (plot in (one.path, PurePath(one.path).name) or (one.plot_id or "").startswith(plot.lower()))
    ]
    if len(having) == 1:
        return str(having[0])
    raise NobodyThere(
        f"{plot} names {'more than one refused plot' if having else 'no refused plot'} of the farm.",
        "`plotman status` shows them; name its path and --host.",
    )


def this_host() -> str:
    return config.load().host
