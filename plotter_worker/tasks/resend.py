"""Plots that are sent again, though a harvester refused them, or was sent all their bytes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from common.errors import ManyPlots, NoSuchPlot, OrderRefused
from common.model.pending import may_have_it, under_way
from common.model.selectors import fits_file
from plotter_worker.service import ServedPlotter
from plotter_worker.state.delivered import DeliveredFile


def refused(plotter: ServedPlotter, plot: str) -> str:
    """Forget that a harvester did not take it; answers its path. Raises NoSuchPlot, ManyPlots."""
    steered = plotter.plots.steered
    path = _the_one(plotter, plot, "refused plot", steered.refused_plots())
    steered.change(lambda steering: steering.allow(path), f"sends {path} again")
    plotter.board.drop_move(plotter.host, path)
    return path


def given_up(plotter: ServedPlotter, plot: str, harvester: str) -> str:
    """Forget that this harvester may have it, so that it goes to any; answers its path. Whether the harvester
    is there a plotter may not know: whoever asks has looked.

    Raises NoSuchPlot, ManyPlots; OrderRefused where the plot does not wait for this harvester, or somebody
    works on its move.
    """
    copied = {plot.path: plot.copied_to for plot in plotter.plots.snapshot().plots}
    path = _the_one(plotter, plot, "finished plot", sorted(copied))
    moves = plotter.board.moves([plotter.host]).get(plotter.host, [])
    last = next((move for move in moves if move.path == path), None)
    if may_have_it(copied[path], last) != harvester:
        raise OrderRefused(f"{path} does not wait for {harvester}.", "See what it does: `plotman why`.")
    if last is not None and under_way(last, datetime.now(UTC)):
        raise OrderRefused(
            f"{path} is under way to {last.harvester} (step {last.step}).", "Try again in a minute."
        )
    _delivered(plotter).forget(path, harvester)
    if last is not None and last.harvester == harvester:
        plotter.board.drop_move(plotter.host, path)
    news = plotter.plots.news
    news.steered(f"sends {path} again: harvester {harvester}, which may have it, is given up")
    news.publish_now()
    return path


def not_copied(plotter: ServedPlotter, path: str, harvester: str) -> None:
    """What the harvester got of the plot is no good, as it says itself. Raises OSError."""
    _delivered(plotter).forget(path, harvester)
    plotter.plots.news.changed()


def _delivered(plotter: ServedPlotter) -> DeliveredFile:
    return DeliveredFile(plotter.plots.settings.state_dir)


def _the_one(plotter: ServedPlotter, plot: str, kind: str, known: Sequence[str]) -> str:
    found = [path for path in known if fits_file(plot, path)]
    if len(found) != 1:
        error = ManyPlots if found else NoSuchPlot
        raise error(
            f"{plot} names {'more than one' if found else 'no'} {kind} of {plotter.host}.",
            f"{kind.capitalize()}s: {', '.join(found or known) or 'none'}.",
        )
    return found[0]
