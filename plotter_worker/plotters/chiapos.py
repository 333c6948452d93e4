"""The official plotter, chiapos, by both of its commands: `chia plots create` and, with a stripe size, `chia
plotters chiapos` (chia-blockchain 2.7.5). Any k.

Lines of its log are from chiapos 2.0.12. Phases are the same as in plotman 0.5.3:

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
from collections.abc import Sequence

from common.config.sections.plotter_options import ChiaOptions, ChiaposOptions
from common.config.sections.plotting import Plotting
from common.model.phase import Phase
from plotter_worker.plotters import chia_cli
from plotter_worker.plotters.base import CommandLine, Mode, SizeEstimate, normal
from plotter_worker.plotters.log_parser import (
    SHARED_RULES,
    TIMED,
    Milestones,
    first_group,
    keep,
    keep_path,
    merged,
    rules,
    waits,
)
from plotter_worker.plotters.log_state import PlotLogState, Weight, time_of
from plotter_worker.plotters.options import Grammar, key_arguments
from plotter_worker.plotters.plotter import Plotter
from plotter_worker.plotters.size_estimates import chiapos_tmp_bytes, plot_bytes

_DEFAULT_K = 32

# chiapos prints these as "Progress update: 0.NN" after the line that begins a table, except in phases 2 and 3
# without bitfield (-e). After 0.98 it prints none: the values of phases 4 and 5 are estimates.
_PERCENT = {
    **{Phase(1, table): percent for table, percent in enumerate((1, 6, 12, 20, 28, 36, 42), start=1)},
    **{Phase(2, step): percent for step, percent in enumerate((43, 48, 51, 55, 58, 61), start=1)},
    **{Phase(3, table): percent for table, percent in enumerate((66, 73, 79, 85, 92, 98), start=1)},
    Phase(4, 0): 98.5,
    Phase(5, 0): 99.5,
}


_milestones = Milestones(lambda _mode, phase: _PERCENT.get(phase))
_reach, _at, _step = _milestones.reach, _milestones.at, _milestones.step


def _begin(state: PlotLogState, match: re.Match[str]) -> None:
    state.begin_plot()
    state.plot.tmp, state.plot.tmp2 = state.path(match[1]), state.path(match[2])


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


def _renamed(state: PlotLogState, match: re.Match[str]) -> None:
    _reach(state, 5, 3)
    state.complete(state.plot, state.path(match[1]))


def _progress(state: PlotLogState, match: re.Match[str]) -> None:
    state.reach(state.plot.phase, float(match[1]) * 100)


def _phase_time(state: PlotLogState, match: re.Match[str]) -> None:
    state.plot.phase_times_s[int(match[1])] = float(match[2])


def _python_error(state: PlotLogState, match: re.Match[str]) -> None:
    state.fail(match[1], Weight.TRACEBACK)


_RETRYING = r".*Retrying in five minutes\."
_SECONDS = r"\s*(\d+(?:\.\d+)?) seconds"

_RULES = merged(
    rules(
        (b"Starting", r"Starting plotting progress into temporary dirs: (.+) and (.+)$", _begin),
        (b"Starting", r"Starting phase ([1-4])/4:(.*)", _phase),
        (b"Starting", r"Starting to write C1 and C3 tables", _at(4, 1)),
        (b"ID:", r"ID: ([0-9a-f]{64})$", keep("plot_id")),
        (b"Plot", r"Plot size is: (\d{1,2})$", keep("k", int)),
        (b"Final", r"Final Directory is: (.+)$", keep_path("dst")),
        (b"Final", r"Final table pointers:", _at(4, 3)),
        (b"Computing", r"Computing table ([1-7])$", _step(1)),
        (b"Backpropagating", r"Backpropagating on table ([2-7])$", _step(2, lambda table: 8 - table)),
        (b"table", r"table 1 new size:", _at(2, 7)),
        (b"Compressing", r"Compressing tables ([1-6]) and", _step(3)),
        (b"Writing", r"Writing C2 table", _at(4, 2)),
        (b"Approximate", r"Approximate working space used", _at(5, 0)),
        (b"Copied", r"Copied final file from ", _at(5, 1)),
        (b"Removed", r"Removed temp2 file ", _at(5, 2)),
        (b"Renamed", r'Renamed final file from ".+" to "(.+)"$', _renamed),
        (b"Progress", r"Progress update: ([01](?:\.\d+)?)$", _progress),
        (b"Time", rf"Time for phase ([1-4]) ={_SECONDS}", _phase_time),
        (b"Total", rf"Total time ={_SECONDS}", keep("total_s", float)),
        (b"Copy", rf"Copy time ={_SECONDS}", keep("copy_s", float)),
        # On a full or broken drive chiapos does not exit: it sleeps and tries again without end.
        (b"Only", _RETRYING, waits),
        (b"Could", _RETRYING, waits),
        (b"Caught", r"Caught plotting error: (.+)", first_group),
        # chia's Python log, with ANSI colours even in a file.
        (TIMED, r".* Starting plot \d+/(\d{1,9})\b", keep("asked", int)),
        (TIMED, r"\S+ (\d[\w.]*)\s+chia\.plotting\.create_plots\s.* Creating \d+ plots", keep("version")),
        (TIMED, r".*: (?:\x1b\[\d+m)?(?:ERROR|CRITICAL)\s*(?:\x1b\[0m)? (.+?)(?:\x1b\[0m)?$", _python_error),
    ),
    SHARED_RULES,
)


class _Chiapos(Plotter):
    """Both commands. words: of the command, after `chia`. grammar: of its options."""

    rules = _RULES
    noise = b"\tBucket"
    secret_options = ("-m", "--memo")  # with a plot's private key
    words: tuple[str, str]
    grammar: Grammar

    def argv(self, plotting: Plotting, tmp: str, tmp2: str | None, dst: str) -> list[str]:
        chosen: ChiaOptions | ChiaposOptions = getattr(plotting, self.name)
        # chia's harvester must not farm dst, where plots wait to be archived.
        exclude = True if isinstance(chosen, ChiaposOptions) else chosen.x
        return [
            *(chosen.executable, *self.words),
            *_k_arguments(chosen.k),
            *("-n", "1"),
            *("-r", str(chosen.n_threads)),
            *("-u", str(chosen.n_buckets)),
            *("-b", str(chosen.job_buffer)),
            *(("-s", str(chosen.stripes)) if isinstance(chosen, ChiaposOptions) else ()),
            *("-t", tmp),
            *(("-2", tmp2) if tmp2 else ()),
            *("-d", dst),
            *(("-e",) if chosen.e else ()),
            *(("-x",) if exclude else ()),
            *key_arguments(plotting.farmer_pk, plotting.pool_pk, plotting.pool_contract_address),
        ]

    def recognise(self, argv: Sequence[str], cwd: str | None) -> CommandLine | None:
        found = chia_cli.options(argv, self.grammar, *self.words)
        if found is None:
            return None
        # chia's defaults: tmp2 falls back to tmp, and tmp to the working directory.
        tmp = normal(found.text("tmp") or ".", cwd)
        return CommandLine(
            plotter=self.name,
            k=_DEFAULT_K if found.text("k") is None else found.number("k"),
            n=1 if found.text("n") is None else (found.number("n") or 1),
            tmp=tmp,
            tmp2=normal(found.text("tmp2"), cwd) or tmp,
            dst=normal(found.text("dst") or ".", cwd),
            cwd=cwd,
        )

    def space(self, k: int, compression: int | None, mode: Mode, separate_tmp2: bool) -> SizeEstimate:  # noqa: ARG002
        """A separate tmp2 holds the final file while it grows; within tmp it replaces deleted files."""
        plot = plot_bytes(k)
        return SizeEstimate(chiapos_tmp_bytes(k), plot if separate_tmp2 else 0, plot)


class Chia(_Chiapos):
    """`chia plots create`."""

    name = "chia"
    words = ("plots", "create")
    grammar = chia_cli.CREATE
    # Only `chia plots create` writes lines of Python's logging, too.
    marks = (b"chia.plotting.create_plots",)


class ChiaPlottersChiapos(_Chiapos):
    """`chia plotters chiapos`."""

    name = "chiapos"
    words = ("plotters", "chiapos")
    grammar = chia_cli.PLOTTERS
    marks = (b"Starting plotting progress into temporary dirs",)


def _k_arguments(k: int) -> list[str]:
    """Build `-k`, and for k25 to k31 the option that chia demands for plots too small to farm.

    Below k25 chia refuses that option, and the size too, unless `min_mainnet_k_size` in its config.yaml is
    lowered (chia 2.7.5, `validate_plot_size`).
    """
    return ["-k", str(k), *(["--override-k"] if 25 <= k < 32 else [])]
