"""The logs of bladebit: ramplot (1.x to 3.x), diskplot and cudaplot (2.x, 3.x).

Lines are from 1.2.4 and 3.1.1 (source and public logs). Phases of ramplot are the same as in plotman 0.5.3;
the other modes have similar ones:

    Allocating buffers / memory          0:1
    Generating plot                      0:2
    Running Phase N                      N:0
    ramplot   Finished F1 generation     1:1
              Forward propagating to N   1:N
              Prunning table N (6-2)     2:(7-N)
              Compressing tables N       3:N
              Writing P7, C1, C2, C3     4:1 4:2 4:3 4:4
              Finished Phase N           (N+1):0
              Writing final plot tables  5:1
    diskplot  Table N                    1:N        no phase 4: phase 1 makes the tables C1-C3
              Finished marking table N   2:(8-N)    the next table is being marked
              Compressing tables N       3:N
              Writing P7 parks           3:7
              Finished Phase 3           5:0
              Waiting for plot file      5:1
    cudaplot  Generating F1              1:1
              Finished F1                1:2
              Table N completed          1:(N+1)    up to 1:7
              Completed Phase 1, 2       2:0, 3:0
              Marked Table N             2:(8-N)
              Compressing Table N and M  3:N
              Serializing P7 entries     3:7
              Completed Phase 3          5:0
              Completed Plot             5:1
    all       plot renamed               5:2        done, once the log has the total time, too
"""

from __future__ import annotations

import re

from common.model.phase import Phase
from plotter_worker.plotters.base import CommandLine, Mode
from plotter_worker.plotters.log_parser import ARROW, Handler, RulesReader, merged, rules
from plotter_worker.plotters.log_state import PlotLogState
from plotter_worker.plotters.names import normal, parent
from plotter_worker.plotters.shared_rules import SHARED_RULES, whole_line

MARKS = (b"Bladebit Chia Plotter", b"[Bladebit ", b"Memory required: 416 GiB.")

# Percent at which each phase begins and ends. ramplot: 314 s in phase 1 of 583 in all (public log of 1.x),
# phase 3 about a third, 20 s of writing. cudaplot: 67, 11 and 87 s, 15 s of writing (bladebit#296).
# diskplot does the same work as ramplot, so its shares are taken from there: no complete log is public.
_RAM_PERCENT = {1: (0.0, 54.0), 2: (54.0, 62.0), 3: (62.0, 96.0), 4: (96.0, 97.0), 5: (97.0, 99.0)}
_CUDA_PERCENT = {1: (0.0, 37.0), 2: (37.0, 43.0), 3: (43.0, 92.0), 5: (92.0, 99.0)}
_STEPS = {1: 7, 2: 6, 3: 7, 4: 4, 5: 2}
_WRITING = {"P7": 1, "C1": 2, "C2": 3, "C3": 4}


def reach(state: PlotLogState, major: int, minor: int) -> None:
    """Set the phase, and its percent: all steps of a phase have equal shares."""
    begin, end = (_CUDA_PERCENT if state.mode is Mode.CUDA else _RAM_PERCENT).get(major, (0.0, 0.0))
    steps_done = max(minor - 1, 0) / _STEPS.get(major, 1)
    state.reach(Phase(major, minor), begin + (end - begin) * min(steps_done, 1.0))


def _disk_mode(state: PlotLogState, _match: re.Match[str]) -> None:
    state.mode = Mode.DISK


def _cuda_mode(state: PlotLogState, _match: re.Match[str]) -> None:
    state.mode = Mode.CUDA


def _count(state: PlotLogState, match: re.Match[str]) -> None:
    state.asked = int(match[1])


def _allocating(state: PlotLogState, _match: re.Match[str]) -> None:
    if not state.begun:
        reach(state, 0, 1)


def _begin(state: PlotLogState, match: re.Match[str]) -> None:
    state.begin_plot()
    state.asked = int(match[1] or 0)
    state.plot.plot_id = match[2]
    state.plot.k = 32  # the only k that it makes
    reach(state, 0, 2)


def _temporary_file(state: PlotLogState, match: re.Match[str]) -> None:
    state.set_name(match[1])
    state.plot.final = state.path(match[1])
    if state.plot.final:
        state.plot.dst = parent(state.plot.final)


def _dst(state: PlotLogState, match: re.Match[str]) -> None:
    state.plot.dst = state.path(match[1])


def _tmp(state: PlotLogState, match: re.Match[str]) -> None:
    state.plot.tmp = state.path(match[1])


def _tmp2(state: PlotLogState, match: re.Match[str]) -> None:
    state.plot.tmp2 = state.path(match[1])


def _compression(state: PlotLogState, match: re.Match[str]) -> None:
    state.plot.compression = int(match[1])


def _running(state: PlotLogState, match: re.Match[str]) -> None:
    reach(state, int(match[1]), 0)


def _at(major: int, minor: int) -> Handler:
    return lambda state, _match: reach(state, major, minor)


def _table_of(major: int) -> Handler:
    """The line names the table that is being made, counted upwards."""
    return lambda state, match: reach(state, major, int(match[1]))


def _table_done(state: PlotLogState, match: re.Match[str]) -> None:
    reach(state, 1, min(int(match[1]) + 1, 7))


def _pruning(state: PlotLogState, match: re.Match[str]) -> None:
    reach(state, 2, 7 - int(match[1]))


def _marked(state: PlotLogState, match: re.Match[str]) -> None:
    reach(state, 2, 8 - int(match[1]))


def _writing(state: PlotLogState, match: re.Match[str]) -> None:
    reach(state, 4, _WRITING[match[1]])


def _phase_done(state: PlotLogState, match: re.Match[str]) -> None:
    phase = int(match[1])
    state.plot.phase_times_s[phase] = float(match[2])
    last = 4 if state.mode not in (Mode.DISK, Mode.CUDA) else 3
    reach(state, phase + 1 if phase < last else 5, 0)


def _plotting_done(state: PlotLogState, match: re.Match[str]) -> None:
    state.plot.total_s = float(match[1])
    reach(state, 5, 1)
    _complete(state)


def _written(state: PlotLogState, match: re.Match[str]) -> None:
    state.plot.copy_s = float(match[1])


def _renamed(state: PlotLogState, match: re.Match[str]) -> None:
    """The line has a path, or only a file name in dst."""
    plot = state.plot
    if not plot.name:
        state.set_name(match[1])
    plot.path = state.path(match[1]) if "/" in match[1] or not plot.dst else normal(match[1], plot.dst)
    _complete(state)


def _complete(state: PlotLogState) -> None:
    # The order of the two lines depends on mode and version.
    plot = state.plot
    if plot.total_s is not None and plot.path is not None:
        reach(state, 5, 2)
        state.complete(plot, plot.path)


def _no_space(state: PlotLogState, match: re.Match[str]) -> None:
    state.stall(match[0])


def _fatal(state: PlotLogState, match: re.Match[str]) -> None:
    """The message follows on the same line or the next."""
    if match[1]:
        state.fail(match[1])
        return
    state.fail("Fatal Error")

    def take(line: str) -> bool:
        state.fail(line.removeprefix("[ERROR]"))
        return False

    state.expect_error(take)


_SECONDS = r"(\d+(?:\.\d+)?) seconds"

_RULES = merged(
    rules(
        (b"[Bladebit", r"\[Bladebit Disk Plotter\]", _disk_mode),
        (b"[Bladebit", r"\[Bladebit CUDA Plotter\]", _cuda_mode),
        (b"Creating", r"Creating (\d{1,9}) plots", _count),
        (b"Will", r"Will create (\d{1,9}) plots", _count),
        (b"Output", r"Output path\s*:\s*(.+)$", _dst),
        (b"Temp1", r"Temp1 path\s*:\s*(.+)$", _tmp),
        (b"Temp2", r"Temp2 path\s*:\s*(.+)$", _tmp2),
        (b"Compression", r"Compression Level\s*:\s*(\d{1,2})", _compression),
        (b"Allocating", r"Allocating (?:buffers|memory)", _allocating),
        (b"Generating", r"Generating plot \d+(?: / (\d{1,9}))?: ([0-9a-f]{64})$", _begin),
        (b"Generating", r"Generating [Ff]1", _at(1, 1)),
        (b"Plot", r"Plot temporary file: (.+\.plot)\.tmp$", _temporary_file),
        (b"Plot", r"Plot (.+\.plot) finished writing to disk", _renamed),
        (b"Running", r"Running Phase ([1-4])$", _running),
        (b"Forward", r"Forward propagating to table ([2-7])", _table_of(1)),
        (b"Table", r"Table ([1-7])(?:: F1 generation)?$", _table_of(1)),
        (b"Table", r"Table ([2-7]) completed in", _table_done),
        (b"Prunning", r"Prunning table ([2-6])", _pruning),
        (b"Pruning", r"Pruning table ([2-6])", _pruning),
        (b"Marked", r"Marked Table ([2-6]) in", _marked),
        (b"Compressing", r"Compressing [Tt]ables? ([1-6]) and", _table_of(3)),
        (b"Serializing", r"Serializing P7 entries", _at(3, 7)),
        (b"Writing", r"Writing P7 parks", _at(3, 7)),
        (b"Writing", r"Writing (P7|C1|C2|C3)\b", _writing),
        (b"Writing", r"Writing final plot tables to disk", _at(5, 1)),
        (b"Waiting", r"Waiting for plot file to complete", _at(5, 1)),
        (b"Finished", r"Finished F1 generation in", _at(1, 1)),
        (b"Finished", r"Finished F1 in", _at(1, 2)),
        (b"Finished", r"Finished marking table ([2-6]) in", _marked),
        (b"Finished", rf"Finished Phase ([1-4]) in {_SECONDS}", _phase_done),
        (b"Finished", rf"Finished writing tables to disk in {_SECONDS}", _written),
        (b"Finished", rf"Finished plotting in {_SECONDS}", _plotting_done),
        (b"Completed", rf"Completed Phase ([1-3]) in {_SECONDS}", _phase_done),
        (b"Completed", rf"Completed Plot \d+ in {_SECONDS}", _plotting_done),
        (b"Completed", rf"Completed (?:writing plot|pending writes) in {_SECONDS}", _written),
        (b"Renaming", r"Renaming plot to '(.+\.plot)'", _renamed),
        (ARROW, r".+\.plot\.tmp -> (.+\.plot)$", _renamed),
        (b"No", r"No space left in plot output directory .*", _no_space),
        (b"Fatal", r"Fatal Error:\s*(.*)$", _fatal),
        (b"[ERROR]", r"\[ERROR\] Fatal Error:\s*(.*)$", _fatal),
        (b"***", r"\*\*\* (?:Panic!!!|Crashed!) \*\*\*(?:\s*Fatal Error:)?\s*(.*)$", _fatal),
        (b"[PlotWriter]", r"\[PlotWriter\] Error: .+", whole_line),
        (b"ERROR:", r"ERROR: .+", whole_line),
    ),
    SHARED_RULES,
)


def reader(command: CommandLine | None = None) -> RulesReader:
    """Make a reader for one log of bladebit. command: of the job that writes it, if known."""
    return RulesReader(_RULES, command)
