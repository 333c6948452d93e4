"""Live progress: a picture that redraws itself on a terminal, lines of text everywhere else."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from common.model.units import counted, human_bytes
from plotman.quickstart.look import Look
from plotman.quickstart.words import eta_words, short, status_line, transfer_percent, wait_words

LINE_PAUSE_S = 2.0  # between two lines where there is no terminal


class Display(Protocol):
    """Where progress goes. A context manager; what it took of the terminal it gives back at its end."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def say(self, text: str) -> None:
        """Something a person should read, whatever else is shown."""

    def show(self, look: Look, landed: int, wanted: int) -> None:
        """The farm at this moment."""


class Lines:
    """For logs and pipes: a line when something changed, at most one each LINE_PAUSE_S."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = ""
        self._last_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show(self, look: Look, landed: int, wanted: int) -> None:
        line = status_line(look, landed, wanted)
        if line != self._last and time.monotonic() - self._last_s >= LINE_PAUSE_S:
            self._last, self._last_s = line, time.monotonic()
            self.say(line)


class Picture:
    """For terminals."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        self._live.console.print(text, markup=False, highlight=False)

    def show(self, look: Look, landed: int, wanted: int) -> None:
        self._live.update(picture(look, landed, wanted))


def display_for(console: Console) -> Display:
    """The right one for where the console writes to."""
    return Picture(console) if console.is_terminal else Lines(console)


def picture(look: Look, landed: int, wanted: int) -> RenderableType:
    """Jobs, transfers and drives, one below the other."""
    plots = Table.grid(padding=(0, 2))
    for job in look.jobs:
        what = f"plotting in tmp {Path(job.tmp).name if job.tmp else '?'}"
        phase = f"phase {job.phase or '?'}"
        plots.add_row(short(job.plot_id), what, *_progress(job.percent), phase, eta_words(job.eta_s))
    for move in look.transfers:
        what = f"to drive {Path(move.drive).name}"
        rate = f"{human_bytes(move.rate_bytes_s)}/s" if move.rate_bytes_s else ""
        plots.add_row(
            short(move.plot_id), what, *_progress(transfer_percent(move)), rate, eta_words(move.eta_s)
        )
    drives = "   ".join(
        f"drive {Path(drive.path).name}: {counted(drive.plots, 'plot')}"
        + (f" +{drive.incoming} coming" if drive.incoming else "")
        for drive in look.drives
    )
    waits = [Text(f"waiting: {reason}", style="dim") for reason in wait_words(look)[:4]]
    problems = [Text(problem, style="red") for problem in look.problems]
    return Group(
        Text(f"{landed} of {counted(wanted, 'plot')} on drives", style="bold"),
        plots,
        Text(drives),
        *waits,
        *problems,
    )


def _progress(percent: float | None) -> tuple[RenderableType, str]:
    """A bar and its number; both empty while nothing is known."""
    bar = ProgressBar(total=100, completed=percent or 0, width=24)
    return bar, f"{percent:.0f}%" if percent is not None else ""
