"""The log of chiapos, the library behind `chia plots create` and `chia plotters chiapos`.

Lines are those of chiapos 2.0.12; phases mean what they meant in plotman 0.5.3:

    Starting phase N/4                      N:0
    Computing table N            (1-7)      1:N   the table that is being computed
    Backpropagating on table N   (7-2)      2:(8-N)
    table 1 new size                        2:7   with bitfield only
    Compressing tables N and N+1 (1-6)      3:N
    Starting to write C1 and C3 tables      4:1
    Writing C2 table                        4:2
    Final table pointers                    4:3
    Approximate working space used          5:0   the plot is complete, under a temporary name
    Copied final file from                  5:1   only to another file system
    Removed temp2 file                      5:2
    Renamed final file from ... to          5:3   done
"""

from __future__ import annotations

import re

from common.model.phase import Phase
from plotter_worker.plotters.base import CommandLine
from plotter_worker.plotters.details import DETAILS
from plotter_worker.plotters.failures import FAILURES, said
from plotter_worker.plotters.log_parser import TIMED, Milestones, RulesReader, merged, rules
from plotter_worker.plotters.log_state import PlotLogState, Weight, time_of

NOISE = b"\tBucket"
MARK = b"Starting plotting progress into temporary dirs"

# chiapos prints these as "Progress update: 0.NN" after the line that begins a table; without bitfield (-e)
# not so in phases 2 and 3. Phase 4 and 5 are ours: it prints nothing more after 0.98.
_PERCENT = {
    **{Phase(1, table): percent for table, percent in enumerate((1, 6, 12, 20, 28, 36, 42), start=1)},
    **{Phase(2, step): percent for step, percent in enumerate((43, 48, 51, 55, 58, 61), start=1)},
    **{Phase(3, table): percent for table, percent in enumerate((66, 73, 79, 85, 92, 98), start=1)},
    Phase(4, 0): 98.5,
    Phase(5, 0): 99.5,
}


_milestones = Milestones(_PERCENT)
_reach, _at = _milestones.reach, _milestones.at


def _begin(story: PlotLogState, match: re.Match[str]) -> None:
    story.begin()
    story.plot.tmp, story.plot.tmp2 = story.path(match[1]), story.path(match[2])


def _plot_id(story: PlotLogState, match: re.Match[str]) -> None:
    story.plot.plot_id = match[1]


def _size(story: PlotLogState, match: re.Match[str]) -> None:
    story.plot.k = int(match[1])


def _final_dir(story: PlotLogState, match: re.Match[str]) -> None:
    story.plot.dst = story.path(match[1])


def _phase(story: PlotLogState, match: re.Match[str]) -> None:
    phase = int(match[1])
    _reach(story, phase, 0)
    if phase == 1:
        # "... Sun Nov 22 15:50:43 2026": ctime(3), in English whatever the locale.
        story.plot.begun = time_of(" ".join(match[2].split()[-4:]), "%b %d %H:%M:%S %Y")
    elif phase == 2:
        story.plot.bitfield = "without bitfield" not in match[2]
    # Phases 3 and 4 name the file that is being written: T2/NAME.plot.2.tmp.
    story.named(match[2])
    if story.plot.name and story.plot.dst:
        story.plot.final = f"{story.plot.dst}/{story.plot.name}.plot"


def _computing(story: PlotLogState, match: re.Match[str]) -> None:
    _reach(story, 1, int(match[1]))


def _backpropagating(story: PlotLogState, match: re.Match[str]) -> None:
    _reach(story, 2, 8 - int(match[1]))


def _compressing(story: PlotLogState, match: re.Match[str]) -> None:
    _reach(story, 3, int(match[1]))


def _renamed(story: PlotLogState, match: re.Match[str]) -> None:
    _reach(story, 5, 3)
    story.complete(story.plot, story.path(match[1]))


def _progress(story: PlotLogState, match: re.Match[str]) -> None:
    story.reach(story.plot.phase, float(match[1]) * 100)


def _phase_time(story: PlotLogState, match: re.Match[str]) -> None:
    story.phase_took(int(match[1]), match[2])


def _total(story: PlotLogState, match: re.Match[str]) -> None:
    story.plot.total_s = float(match[1])


def _copy_time(story: PlotLogState, match: re.Match[str]) -> None:
    story.plot.copy_s = float(match[1])


def _retrying(story: PlotLogState, match: re.Match[str]) -> None:
    story.stall(match[0])


def _count(story: PlotLogState, match: re.Match[str]) -> None:
    story.asked = int(match[1])


def _python_error(story: PlotLogState, match: re.Match[str]) -> None:
    story.fail(match[1], Weight.TRACEBACK)


def _version(story: PlotLogState, match: re.Match[str]) -> None:
    story.version = match[1]


_RETRYING = r".*Retrying in five minutes\."
_SECONDS = r"\s*(\d+(?:\.\d+)?) seconds"

_RULES = merged(
    rules(
        (b"Starting", r"Starting plotting progress into temporary dirs: (.+) and (.+)$", _begin),
        (b"Starting", r"Starting phase ([1-4])/4:(.*)", _phase),
        (b"Starting", r"Starting to write C1 and C3 tables", _at(4, 1)),
        (b"ID:", r"ID: ([0-9a-f]{64})$", _plot_id),
        (b"Plot", r"Plot size is: (\d{1,2})$", _size),
        (b"Final", r"Final Directory is: (.+)$", _final_dir),
        (b"Final", r"Final table pointers:", _at(4, 3)),
        (b"Computing", r"Computing table ([1-7])$", _computing),
        (b"Backpropagating", r"Backpropagating on table ([2-7])$", _backpropagating),
        (b"table", r"table 1 new size:", _at(2, 7)),
        (b"Compressing", r"Compressing tables ([1-6]) and", _compressing),
        (b"Writing", r"Writing C2 table", _at(4, 2)),
        (b"Approximate", r"Approximate working space used", _at(5, 0)),
        (b"Copied", r"Copied final file from ", _at(5, 1)),
        (b"Removed", r"Removed temp2 file ", _at(5, 2)),
        (b"Renamed", r'Renamed final file from ".+" to "(.+)"$', _renamed),
        (b"Progress", r"Progress update: ([01](?:\.\d+)?)$", _progress),
        (b"Time", rf"Time for phase ([1-4]) ={_SECONDS}", _phase_time),
        (b"Total", rf"Total time ={_SECONDS}", _total),
        (b"Copy", rf"Copy time ={_SECONDS}", _copy_time),
        # Full or broken drives do not end chiapos: it sleeps and tries again for ever.
        (b"Only", _RETRYING, _retrying),
        (b"Could", _RETRYING, _retrying),
        (b"Caught", r"Caught plotting error: (.+)", said),
        # chia's Python log, with ANSI colours even in a file.
        (TIMED, r".* Starting plot \d+/(\d{1,9})\b", _count),
        (TIMED, r"\S+ (\d[\w.]*)\s+chia\.plotting\.create_plots\s.* Creating \d+ plots", _version),
        (TIMED, r".*: (?:\x1b\[\d+m)?(?:ERROR|CRITICAL)\s*(?:\x1b\[0m)? (.+?)(?:\x1b\[0m)?$", _python_error),
    ),
    FAILURES,
    DETAILS,
)


def reader(command: CommandLine | None = None) -> RulesReader:
    """A reader for one log of chiapos. command: of the job that writes it, if known."""
    return RulesReader(_RULES, command, noise=NOISE)
