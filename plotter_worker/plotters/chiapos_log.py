"""The log of chiapos, the library behind `chia plots create` and `chia plotters chiapos`.

Lines are from chiapos 2.0.12. Phases are the same as in plotman 0.5.3:

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
from plotter_worker.plotters.log_parser import TIMED, Milestones, RulesReader, merged, rules
from plotter_worker.plotters.log_state import PlotLogState, Weight, time_of
from plotter_worker.plotters.shared_rules import SHARED_RULES, first_group

NOISE = b"\tBucket"
MARK = b"Starting plotting progress into temporary dirs"

# chiapos prints these as "Progress update: 0.NN" after the line that begins a table, except in phases 2 and 3
# without bitfield (-e). After 0.98 it prints none: the values of phases 4 and 5 are estimates.
_PERCENT = {
    **{Phase(1, table): percent for table, percent in enumerate((1, 6, 12, 20, 28, 36, 42), start=1)},
    **{Phase(2, step): percent for step, percent in enumerate((43, 48, 51, 55, 58, 61), start=1)},
    **{Phase(3, table): percent for table, percent in enumerate((66, 73, 79, 85, 92, 98), start=1)},
    Phase(4, 0): 98.5,
    Phase(5, 0): 99.5,
}


_milestones = Milestones(_PERCENT)
_reach, _at = _milestones.reach, _milestones.at


def _begin(state: PlotLogState, match: re.Match[str]) -> None:
    state.begin_plot()
    state.plot.tmp, state.plot.tmp2 = state.path(match[1]), state.path(match[2])


def _plot_id(state: PlotLogState, match: re.Match[str]) -> None:
    state.plot.plot_id = match[1]


def _size(state: PlotLogState, match: re.Match[str]) -> None:
    state.plot.k = int(match[1])


def _final_dir(state: PlotLogState, match: re.Match[str]) -> None:
    state.plot.dst = state.path(match[1])


def _phase(state: PlotLogState, match: re.Match[str]) -> None:
    phase = int(match[1])
    _reach(state, phase, 0)
    if phase == 1:
        # "... Sun Nov 22 15:50:43 2026": ctime(3), in English in every locale.
        state.plot.begun = time_of(" ".join(match[2].split()[-4:]), "%b %d %H:%M:%S %Y")
    elif phase == 2:
        state.plot.bitfield = "without bitfield" not in match[2]
    # Phases 3 and 4 name the file that is being written: T2/NAME.plot.2.tmp.
    state.set_name(match[2])
    if state.plot.name and state.plot.dst:
        state.plot.final = f"{state.plot.dst}/{state.plot.name}.plot"


def _computing(state: PlotLogState, match: re.Match[str]) -> None:
    _reach(state, 1, int(match[1]))


def _backpropagating(state: PlotLogState, match: re.Match[str]) -> None:
    _reach(state, 2, 8 - int(match[1]))


def _compressing(state: PlotLogState, match: re.Match[str]) -> None:
    _reach(state, 3, int(match[1]))


def _renamed(state: PlotLogState, match: re.Match[str]) -> None:
    _reach(state, 5, 3)
    state.complete(state.plot, state.path(match[1]))


def _progress(state: PlotLogState, match: re.Match[str]) -> None:
    state.reach(state.plot.phase, float(match[1]) * 100)


def _phase_time(state: PlotLogState, match: re.Match[str]) -> None:
    state.plot.phase_times_s[int(match[1])] = float(match[2])


def _total(state: PlotLogState, match: re.Match[str]) -> None:
    state.plot.total_s = float(match[1])


def _copy_time(state: PlotLogState, match: re.Match[str]) -> None:
    state.plot.copy_s = float(match[1])


def _retrying(state: PlotLogState, match: re.Match[str]) -> None:
    state.stall(match[0])


def _count(state: PlotLogState, match: re.Match[str]) -> None:
    state.asked = int(match[1])


def _python_error(state: PlotLogState, match: re.Match[str]) -> None:
    state.fail(match[1], Weight.TRACEBACK)


def _version(state: PlotLogState, match: re.Match[str]) -> None:
    state.version = match[1]


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
        # On a full or broken drive chiapos does not exit: it sleeps and tries again without end.
        (b"Only", _RETRYING, _retrying),
        (b"Could", _RETRYING, _retrying),
        (b"Caught", r"Caught plotting error: (.+)", first_group),
        # chia's Python log, with ANSI colours even in a file.
        (TIMED, r".* Starting plot \d+/(\d{1,9})\b", _count),
        (TIMED, r"\S+ (\d[\w.]*)\s+chia\.plotting\.create_plots\s.* Creating \d+ plots", _version),
        (TIMED, r".*: (?:\x1b\[\d+m)?(?:ERROR|CRITICAL)\s*(?:\x1b\[0m)? (.+?)(?:\x1b\[0m)?$", _python_error),
    ),
    SHARED_RULES,
)


def reader(command: CommandLine | None = None) -> RulesReader:
    """Make a reader for one log of chiapos. command: of the job that writes it, if known."""
    return RulesReader(_RULES, command, noise=NOISE)
