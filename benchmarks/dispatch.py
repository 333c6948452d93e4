"""How long a tmp directory stands idle between two plots, and a milestone unused.

    python -m benchmarks.dispatch [--quick] [--long]

plotman and its peer run side by side in the same minutes, each in a process table of its own, with plotters
that replay a log and note by themselves when they began, passed the milestone, and ended.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import ours, peer
from benchmarks.figures import Report
from benchmarks.machine import OURS, Machine, Running, until

AT_20_S, AT_1_S = f"{peer.NAME}, polling 20 s", f"{peer.NAME}, polling 1 s"


@dataclass(frozen=True)
class Case:
    """plots_s: how long a plot takes; up to a second more, by chance. staggered: the next one waits for the
    milestone, which lies at half of that, and not for the end."""

    subject: str
    plots_s: float
    staggered: bool = False

    @property
    def label(self) -> str:
        return f"plots of {self.plots_s:g} s"


@dataclass(frozen=True)
class Stage:
    """Cases that run side by side for this time; many of one case are reported together."""

    seconds: float
    cases: tuple[Case, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="half a minute, to see whether it works")
    parser.add_argument("--long", action="store_true", help="also plots of 120 s, in a quarter of an hour")
    options = parser.parse_args()
    ours.program()
    peer.program()
    report = Report("dispatch", "How long a tmp directory waits for its next plot")
    report.note(
        "From the last instruction of a plotter to the first of the next, as both wrote down themselves."
    )
    report.note("milestone: from the log line that lets the next plot start to the start of the next plot.")
    report.note("Plots last as long as they say and up to a second more, so that nobody runs in step.")
    report.note("share of ideal: plots that ended, of those that would have if there were no gaps.")
    samples: dict[Case, list[float]] = {}
    for stage in stages(options.quick, options.long):
        for case, (gaps, share) in zip(stage.cases, run(stage), strict=True):
            samples.setdefault(case, []).extend(gaps)
            if share is not None:
                report.add(case.subject, f"share of ideal, {case.label}", "%", [100 * share])
    for case, gaps in samples.items():
        what = "milestone to start" if case.staggered else "exit to start"
        report.add(case.subject, f"{what}, {case.label}", "ms", [1000 * gap for gap in gaps])
    report.figures.sort(key=lambda figure: (figure.unit, figure.at, figure.subject))
    report.show()
    report.save(keep=options.quick)


def stages(quick: bool, long: bool) -> list[Stage]:
    if quick:
        return [Stage(25, (Case(OURS, 3), Case(AT_1_S, 3), Case(OURS, 6, True)))]
    tens = (Case(OURS, 10), Case(OURS, 10), Case(AT_20_S, 10), Case(AT_20_S, 10), Case(AT_1_S, 10))
    milestones = (Case(OURS, 8, True), Case(OURS, 8, True), Case(AT_20_S, 20, True), Case(AT_1_S, 8, True))
    found = [
        Stage(100, (*tens, *milestones)),
        # Many starts of ours alone: without them there would be no 99 %.
        Stage(30, (Case(OURS, 1),)),
        Stage(75, tuple(Case(subject, 35) for subject in (OURS, AT_20_S, AT_1_S))),
    ]
    if long:
        found.append(Stage(900, tuple(Case(subject, 120) for subject in (OURS, AT_20_S, AT_1_S))))
    return found


def run(stage: Stage) -> list[tuple[list[float], float | None]]:
    """For each case its gaps in seconds, and its share of the ideal."""
    with tempfile.TemporaryDirectory(prefix="plotman-bench-") as folder, ExitStack() as stack:
        runs = [
            stack.enter_context(_start(case, Path(folder) / str(n))) for n, case in enumerate(stage.cases)
        ]
        for running in runs:
            until(running.plotters, f"a plot starts ({running.machine.folder})")
        time.sleep(stage.seconds)
        return [measured(case, running.machine) for case, running in zip(stage.cases, runs, strict=True)]


def _start(case: Case, folder: Path) -> AbstractContextManager[Running]:
    half_s = case.plots_s / 2
    wait_s = [half_s, half_s + 1] if case.staggered else [half_s, half_s]
    machine = Machine(folder).lay_out(wait_s=wait_s, last_s=[half_s, half_s + (not case.staggered)])
    polling_s = 1 if case.subject == AT_1_S else 20
    machine.configure(polling_s, max_jobs=10 if case.staggered else 1)
    return machine.run(OURS, "up") if case.subject == OURS else machine.run(peer.NAME, "plot")


def measured(case: Case, machine: Machine) -> tuple[list[float], float | None]:
    starts = machine.notes("start")
    if case.staggered:
        return gaps(machine.notes("line"), starts), None
    ends = machine.notes("end")
    found = gaps(ends, starts)
    if not found:
        return [], None
    busy_s = sum(end - start for start, end in zip(starts, ends, strict=False))
    return found, busy_s / (busy_s + sum(found))


def gaps(causes: Sequence[float], starts: Sequence[float]) -> list[float]:
    """From each of the causes to the start that followed; what followed none (the first) has none."""
    return [start - cause for cause, start in zip(causes, starts[1:], strict=False)]


if __name__ == "__main__":
    main()
