"""Judges how a job ended, by its log and its plot files; the exit code only completes the reason.

Exit codes lie: `chia plotters chiapos` exits 0 for a k it refuses, `chia plotters madmax` whatever its
child returns, and `chia plots create` exits 1 when it was interrupted after its plot was complete.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass

from common.model.units import counted
from plotter_worker.plotters.base import DonePlot, Progress
from plotter_worker.plotters.log_parser import LONGEST_LINE, LogReader

_TAIL_LINES = 15


@dataclass(frozen=True)
class Success:
    """All plots of the job are complete."""

    plots: tuple[DonePlot, ...]


@dataclass(frozen=True)
class Failure:
    """A plot is missing.

    reason: one sentence for operators. tail: last lines of the log. plots: those that are complete.
    proven: it reached phase 1, so the set-up works.
    """

    reason: str
    tail: str
    plots: tuple[DonePlot, ...] = ()
    proven: bool = False


Verdict = Success | Failure


def judge(log: LogReader, exit_code: int | None, exists: Callable[[str], bool | None]) -> Verdict:
    """Decide whether a job that has ended succeeded.

    Args:
        log: Its reader, fed with the whole log, or with nothing if there is no log. `judge` calls its `end`.
        exit_code: Negative for a signal, as in subprocess; None if unknown.
        exists: Whether a plot file exists. None if unknown, because its drive hangs or the plot may have
            been moved since: then the log decides.
    """
    log.end()
    progress = log.progress
    plots = progress.plots_done
    # A plot gets its final name when it is complete, even if the log lost its last lines (a full disk).
    if not progress.finished and progress.final and not _logged(progress) and exists(progress.final):
        plots = (*plots, _unlogged(progress))
        if len(plots) >= (progress.asked or 0):
            return Success(plots)
    missing = [plot for plot in plots if plot.path and exists(plot.path) is False]
    if progress.finished and not missing:
        return Success(plots)
    if missing:
        reason = f"The log says that {missing[0].path} was written, but there is no such file."
    else:
        reason = _reason(progress, exit_code, log.tail(1).strip())
    return Failure(
        reason=reason,
        tail=log.tail(_TAIL_LINES),
        plots=tuple(plot for plot in plots if plot not in missing),
        proven=progress.proven,
    )


def _logged(progress: Progress) -> bool:
    return any(plot.plot_id == progress.plot_id for plot in progress.plots_done)


def _unlogged(progress: Progress) -> DonePlot:
    return DonePlot(
        plot_id=progress.plot_id,
        path=progress.final,
        total_s=progress.total_s,
        copy_s=progress.copy_s,
        phase_times_s=progress.phase_times_s,
    )


def _reason(progress: Progress, exit_code: int | None, last_line: str) -> str:
    at = f"in phase {progress.phase}" if progress.proven else "before phase 1"
    made = f" after {counted(len(progress.plots_done), 'plot')}" if progress.plots_done else ""
    if progress.error:
        return f"The plotter gave up {at}{made}: {_short(progress.error)}"
    ended = _ended(exit_code)
    if progress.stalled:
        return f"The plotter {ended} while it waited: {_short(progress.stalled)}"
    if last_line and not progress.proven:
        # It failed in a way that no rule knows: its last line is the best explanation.
        return f"The plotter {ended} {at}{made}, its last line: {_short(last_line)}"
    return f"The plotter {ended} {at}{made}, and logged no error."


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]} ..."


def _ended(exit_code: int | None) -> str:
    if exit_code is None:
        return "ended (exit code unknown)"
    # A shell in between reports a signal as 128 + its number.
    number = -exit_code if exit_code < 0 else exit_code - 128
    try:
        return f"was ended by {signal.Signals(number).name}"
    except ValueError:
        return f"exited with {exit_code}"
