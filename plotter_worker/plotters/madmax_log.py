"""The log of madMAx's `chia_plot`, and of Gigahorse (`chia_plot`, `cuda_plot_*`), whose lines are similar.

Lines are from chia_plot 1.1.8 (5b5bd68), and from Gigahorse's README and issues. `[P1] Table N took` means
that table N is complete. Phases are the same as in plotman 0.5.3:

    Plot Name                                1:1
    [P1] Table N took             (1-6)      1:(N+1)   table N+1 is being computed
    [P2] max_table_size                      2:1
    [P2] Table N rewrite took     (7-2)      2:(9-N)
    Phase 2 took                             3:0
    Wrote plot header                        3:1
    [P3-2] Table N took           (2-6)      3:N       Gigahorse on a GPU: [P3] Table N
    Phase 3 took                             4:0
    [P4] Starting to write C1 and C3 tables  4:1
    [P4] Writing C2 table                    4:2
    Phase 4 took                             5:0
    Started copy to                          5:1
    Renamed final plot to, Copy to ... finished  5:2   done

With several plots in one job, the copy of one runs while the next is made, and their lines mix.
"""

from __future__ import annotations

import re

from common.model.phase import Phase
from plotter_worker.plotters.base import CommandLine
from plotter_worker.plotters.log_parser import Milestones, RulesReader, merged, rules
from plotter_worker.plotters.log_state import Plot, PlotLogState, time_of
from plotter_worker.plotters.names import PLOT_NAME, parent
from plotter_worker.plotters.shared_rules import SHARED_RULES, whole_line

MARKS = (b"Multi-threaded pipelined Chia", b"next-gen CUDA plotter")

# Shares of the time: phases 1-4 as 50, 21, 27 and 2 %, between a k32 on disk (1851, 1344, 1003 and 78 s of
# 4276, in plotman 0.5.3's own sample log) and k20-k21 in memory (60, 8, 29 and 2 %, measured with 1.1.8).
# Within phase 1 by the tables of a k32 (25, 95, 150, 201, 193, 172, 120 s; madMAx/chia-plotter#7).
_PERCENT = {
    **{Phase(1, table): percent for table, percent in enumerate((0, 1.3, 6.3, 14.1, 24.6, 34.7, 43.7), 1)},
    **{Phase(2, step): percent for step, percent in enumerate((50, 53.5, 57, 60.5, 64, 67.5, 71), 1)},
    Phase(3, 0): 71.0,
    **{Phase(3, table): percent for table, percent in enumerate((71, 75.5, 80, 84.5, 89, 93.5), 1)},
    Phase(4, 0): 98.0,
    Phase(4, 2): 98.7,
    Phase(5, 0): 99.0,
}


_milestones = Milestones(_PERCENT)
_reach, _at = _milestones.reach, _milestones.at


def _begin(state: PlotLogState, match: re.Match[str]) -> None:
    state.begin_plot()
    state.asked = int(match[1])
    if match[2]:
        state.plot.begun = time_of(match[2], "%Y/%m/%d %H:%M:%S")


def _name(state: PlotLogState, match: re.Match[str]) -> None:
    state.set_name(match[1])
    if state.plot.name and state.plot.dst:
        state.plot.final = f"{state.plot.dst}/{state.plot.name}.plot"
    _reach(state, 1, 1)


def _dst(state: PlotLogState, match: re.Match[str]) -> None:
    # Gigahorse lists several destinations here. The line that begins a copy names the one that is used.
    state.plot.dst = state.plot.dst or state.path(match[1])


def _tmp(state: PlotLogState, match: re.Match[str]) -> None:
    state.plot.tmp = state.path(match[1])


def _tmp2(state: PlotLogState, match: re.Match[str]) -> None:
    state.plot.tmp2 = state.path(match[1])


def _compression(state: PlotLogState, match: re.Match[str]) -> None:
    state.plot.compression = int(match[1])


def _p1(state: PlotLogState, match: re.Match[str]) -> None:
    _reach(state, 1, int(match[1]) + 1)


def _p2(state: PlotLogState, match: re.Match[str]) -> None:
    _reach(state, 2, 9 - int(match[1]))


def _p3(state: PlotLogState, match: re.Match[str]) -> None:
    _reach(state, 3, int(match[1]))


def _phase_took(state: PlotLogState, match: re.Match[str]) -> None:
    phase = int(match[1])
    state.plot.phase_times_s[phase] = float(match[2])
    if phase >= 2:
        _reach(state, phase + 1, 0)


def _total(state: PlotLogState, match: re.Match[str]) -> None:
    plot = state.plot
    plot.total_s = float(match[1])
    _reach(state, 5, 0)
    if plot.dst and plot.dst == plot.tmp:
        # The plot already is in dst: no copy follows, and no line.
        state.complete(plot, plot.final)


def _plot_of(state: PlotLogState, path: str) -> Plot:
    """Find the plot whose copy a line is about; a new one if the log does not contain its making."""
    match = PLOT_NAME.search(path)
    if not match or match[0] == state.plot.name:
        return state.plot
    return state.copying.get(match[0]) or Plot(plot_id=match["id"], name=match[0], k=int(match["k"]))


def _copy_begins(state: PlotLogState, match: re.Match[str]) -> None:
    plot = _plot_of(state, match[1])
    state.reopen(plot)
    plot.final = state.path(match[1])
    plot.dst = parent(plot.final) if plot.final else None
    if plot.name:
        state.copying[plot.name] = plot
    if plot is state.plot:
        _reach(state, 5, 1)


def _copied(state: PlotLogState, match: re.Match[str]) -> None:
    plot = _plot_of(state, match[1])
    if match.lastindex == 2:
        plot.copy_s = float(match[2])
    if plot is state.plot:
        _reach(state, 5, 2)
    state.complete(plot, state.path(match[1]))


def _copy_fails(state: PlotLogState, match: re.Match[str]) -> None:
    # It tries again every five minutes, and logs nothing more.
    state.stall(match[0], _plot_of(state, match[1]).name)


def _will_stop(state: PlotLogState, _match: re.Match[str]) -> None:
    # After SIGINT or SIGTERM with -n above 1: it finishes the current plot, and stops.
    state.asked = max(state.begun, 1)


_SECONDS = r"(\d+(?:\.\d+)?(?:e[-+]?\d+)?) sec"

_RULES = merged(
    rules(
        (b"Crafting", r"Crafting plot \d+ out of (-?\d{1,9})(?: \((.+)\))?", _begin),
        (b"Plot", r"Plot Name: (\S+)$", _name),
        (b"Final", r"Final (?:Directory|Destination):\s*(.+)$", _dst),
        (b"Working", r"Working Directory:\s*(.+)$", _tmp),
        (b"Working", r"Working Directory 2:\s*(.+)$", _tmp2),
        (b"Compression", r"Compression Level:\s*C(\d{1,2})", _compression),
        (b"[P1]", r"\[P1\] Table ([1-6]) took", _p1),
        (b"[P2]", r"\[P2\] max_table_size", _at(2, 1)),
        (b"[P2]", r"\[P2\] Table ([2-7]) rewrite took", _p2),
        (b"Wrote", r"Wrote plot header", _at(3, 1)),
        (b"[P3-2]", r"\[P3-2\] Table ([2-6]) took", _p3),
        (b"[P3]", r"\[P3\] Table ([2-6]) \w+ took", _p3),
        (b"[P4]", r"\[P4\] Starting", _at(4, 1)),
        (b"[P4]", r"\[P4\] Writing C2", _at(4, 2)),
        (b"Phase", rf"Phase ([1-4]) took {_SECONDS}", _phase_took),
        (b"Total", rf"Total plot creation time was {_SECONDS}", _total),
        (b"Started", r"Started copy to (.+\.plot)$", _copy_begins),
        (b"Renamed", r"Renamed final plot to (.+\.plot)$", _copied),
        (b"Copy", rf"Copy to (.+\.plot) finished, took {_SECONDS}", _copied),
        (b"Copy", r"Copy to (.+?\.plot) failed with.*", _copy_fails),
        (b"**", r"\*\*\s+The crafting of plots will stop", _will_stop),
        # Wrong arguments: one line, then exit 254.
        (b"Invalid", r"Invalid .+", whole_line),
        (b"Failed", r"Failed to .+", whole_line),
        (b"Option", r"Option .+ does not exist.*", whole_line),
    ),
    SHARED_RULES,
)


def reader(command: CommandLine | None = None) -> RulesReader:
    """Make a reader for one log of madMAx. command: of the job that writes it, if known."""
    return RulesReader(_RULES, command)
