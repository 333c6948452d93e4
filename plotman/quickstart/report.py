"""The table at the end: each plot, the times of its phases, its drive, and how it was verified."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from plotman.quickstart.tally import Plot, Tally
from plotman.quickstart.words import short

# Gives what a task returned, None where that is not to be had (any more).
ResultOf = Callable[[str], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Row:
    """A plot on its drive. Phases that no result tells are missing from phase_times_s."""

    plot_id: str
    phase_times_s: Mapping[int, float]
    total_s: float | None
    landed: Path
    verified: str


def rows(tally: Tally, on_drives: Mapping[str, Path], result_of: ResultOf) -> list[Row]:
    """One for each plot of the run that is on a drive."""
    return [_row(plot, tally, on_drives, result_of) for plot in tally.landed(on_drives)]


def _row(plot: Plot, tally: Tally, on_drives: Mapping[str, Path], result_of: ResultOf) -> Row:
    assert plot.plot_id is not None
    made = result_of(plot.task_id) or {}
    admit_task = tally.admitted_by.get(plot.plot_id)
    admitted = (result_of(admit_task) if admit_task else None) or {}
    # JSON has no whole numbers as keys.
    times = {int(phase): float(seconds) for phase, seconds in (made.get("phase_times_s") or {}).items()}
    return Row(
        plot_id=plot.plot_id,
        phase_times_s=times,
        total_s=made.get("total_s"),
        landed=on_drives[plot.plot_id],
        # Only a verified plot gets its name on a drive; how is in the answer, which Redis may have lost.
        verified=str(admitted.get("verified", "yes (how is not kept)")),
    )


def table(found: Sequence[Row]) -> Table:
    """For the terminal; fits 80 columns."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("plot", no_wrap=True)
    made.add_column("phases 1, 2, 3, 4", justify="right", no_wrap=True)
    made.add_column("total", justify="right", no_wrap=True)
    made.add_column("drive", no_wrap=True)
    made.add_column("verified", overflow="fold")
    for row in found:
        phases = " ".join(_seconds(row.phase_times_s.get(phase)) for phase in (1, 2, 3, 4))
        drive = "/".join(row.landed.parent.parts[-2:])
        made.add_row(short(row.plot_id), phases, _seconds(row.total_s), drive, row.verified)
    return made


def _seconds(seconds: float | None) -> str:
    """`0.52s`, `143.6s`: about three digits."""
    if seconds is None:
        return "?"
    return f"{seconds:.2f}s" if seconds < 10 else f"{seconds:.1f}s"
