"""Tasks for plots that a harvester refused or lost, and that an operator has sent again."""

from __future__ import annotations

from collections.abc import Sequence

from common import names
from common.errors import ManyPlots, NoSuchPlot, OrderRefused
from common.model.messages import AbsolutePath, OneLine
from common.model.pending import may_have_it, under_way
from common.model.plot_name import fits_file
from common.model.text import one_line
from common.store.farm_clock import CLOCK
from common.worker.task import task
from plotter_worker.directories.release import own_plot
from plotter_worker.service import ServedPlotter, serving

_LONGEST_REASON = 1000


@task(names.RESEND)
def resend(host: OneLine, plot: OneLine, lost: OneLine | None = None) -> str:
    """Send a plot again: one that was refused, or with `lost` one that waits for this harvester, which is
    lost for good. plot: its path, its name or the start of its id."""
    served = serving(host)
    path = resend_refused(served, plot) if lost is None else give_up(served, plot, lost)
    return f"{host}: {path} is sent again"


@task(names.REFUSE, ignore_result=True)
def refuse(host: OneLine, path: AbsolutePath, reason: str) -> None:
    """Keep a plot that a harvester refused, and send it only after `resend`."""
    served = serving(host)
    refused = str(own_plot(path, served.plotter.plot_dirs))
    reason = one_line(reason, _LONGEST_REASON)
    served.plotter.operator.refuse_plot(refused, reason)
    served.history.refused(refused, reason)


@task(names.NOT_COPIED, ignore_result=True)
def not_copied(host: OneLine, path: AbsolutePath, harvester: OneLine) -> None:
    """Forget a harvester's copy, which its drive returned with other bytes than it received."""
    forget_copy(serving(host), path, harvester)


def resend_refused(served: ServedPlotter, plot: str) -> str:
    """Forget that a harvester refused the plot; returns its path. Raises NoSuchPlot, ManyPlots."""
    operator = served.plotter.operator
    path = _only_match(served, plot, "refused plot", sorted(operator.state.refused))
    operator.change(
        lambda state: state.with_refused_only(state.refused.keys() - {path}), f"sends {path} again"
    )
    served.board.drop_move(served.host, path)
    return path


def give_up(served: ServedPlotter, plot: str, harvester: str) -> str:
    """Forget that this harvester may have the plot, so that another gets it; returns the plot's path.

    A plotter does not know whether the harvester is lost: the caller has checked.

    Raises:
        NoSuchPlot, ManyPlots: `plot` names none or several.
        OrderRefused: the plot does not wait for this harvester, or its move is under way.
    """
    copied = {plot.path: plot.copied_to for plot in served.plotter.snapshot().plots}
    path = _only_match(served, plot, "finished plot", sorted(copied))
    moves = served.board.moves([served.host]).get(served.host, [])
    last = next((move for move in moves if move.path == path), None)
    if may_have_it(copied[path], last) != harvester:
        raise OrderRefused(f"{path} does not wait for {harvester}.", "See what it does: `plotman why`.")
    if last is not None and under_way(last, CLOCK.now()):
        raise OrderRefused(
            f"{path} is under way to {last.harvester} (step {last.step}).", "Try again in a minute."
        )
    served.plotter.delivered.forget(path, harvester)
    if last is not None and last.harvester == harvester:
        served.board.drop_move(served.host, path)
    events = served.plotter.events
    events.operator_changed(f"sends {path} again: harvester {harvester}, which may have it, is given up")
    events.publish_now()
    return path


def forget_copy(served: ServedPlotter, path: str, harvester: str) -> None:
    """Forget that this harvester received the plot. Raises OSError."""
    served.plotter.delivered.forget(path, harvester)
    served.plotter.events.changed()


def _only_match(served: ServedPlotter, plot: str, kind: str, known: Sequence[str]) -> str:
    found = [path for path in known if fits_file(plot, path)]
    if len(found) != 1:
        error = ManyPlots if found else NoSuchPlot
        raise error(
            f"{plot} names {'more than one' if found else 'no'} {kind} of {served.host}.",
            f"{kind.capitalize()}s: {', '.join(found or known) or 'none'}.",
        )
    return found[0]
