"""madMAx's `chia_plot` (1.1.8), also as the child of `chia plotters madmax`; and Gigahorse, whose CPU plotter
has the same name, and whose GPU plotters have names like `cuda_plot_k32`.

This is the module to copy for a new plotter.

Lines of its log are from chia_plot 1.1.8 (5b5bd68), and from Gigahorse's README and issues. `[P1] Table N
took` means that table N is complete. Phases are the same as in plotman 0.5.3:

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
from collections.abc import Sequence

from common.config.sections.plotter_options import MadmaxMode, MadmaxOptions
from common.config.sections.plotting import Plotting
from common.model.phase import Phase
from plotter_worker.plotters import chia_cli
from plotter_worker.plotters.base import PLOT_NAME, CommandLine, Mode, SizeEstimate, normal, parent
from plotter_worker.plotters.log_parser import (
    SHARED_RULES,
    Milestones,
    keep,
    keep_path,
    merged,
    rules,
    whole_line,
)
from plotter_worker.plotters.log_state import Plot, PlotLogState, time_of
from plotter_worker.plotters.options import Grammar, Options, key_arguments, parse, program
from plotter_worker.plotters.plotter import Plotter
from plotter_worker.plotters.size_estimates import (
    compressed_plot_bytes,
    gigahorse_gpu_tmp_bytes,
    madmax_tmp_bytes,
)

_CPU = re.compile(r"chia_plot(?:_k(?P<k>\d\d))?\Z")
_GPU = re.compile(r"cuda_plot(?:_k(?P<k>\d\d)(?:_v\d+)?)?\Z")
# All options with a value are listed, so that no value is taken for another option.
_GRAMMAR = Grammar(
    values={
        "-k": "k", "--size": "k",
        "-n": "n", "--count": "n",
        "-t": "tmp", "--tmpdir": "tmp",
        "-2": "tmp2", "--tmpdir2": "tmp2",
        "-3": "tmp3", "--tmpdir3": "tmp3",
        "-s": "stage", "--stagedir": "stage",
        "-d": "dst", "--finaldir": "dst",
        "-r": "threads", "--threads": "threads", "--ndevices": "threads",
        "-u": "buckets", "--buckets": "buckets",
        "-v": "buckets3", "--buckets3": "buckets3",
        "-K": "rmulti2", "--rmulti2": "rmulti2",
        "-x": "port", "--port": "port",
        "-z": "dstport", "--dstport": "dstport",
        "-p": "pool", "--poolkey": "pool",
        "-c": "contract", "--contract": "contract",
        "-f": "farmer", "--farmerkey": "farmer",
        "-C": "compression", "--level": "compression",
        "-g": "device", "--device": "device",
        "-S": "streams", "--streams": "streams",
        "-M": "memory", "--memory": "memory",
        "-Q": "maxtmp", "-A": "maxcopy", "-W": "maxcopy2",
    },
    flags={
        "-w": "w", "--waitforcopy": "w",
        "-G": "tmptoggle", "--tmptoggle": "tmptoggle",
        "-Z": "unique", "--unique": "unique",
        "-D": "directio", "--directio": "directio",
        "--version": "help", "-h": "help", "--help": "help",
    },
)  # fmt: skip

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


_milestones = Milestones(lambda _mode, phase: _PERCENT.get(phase))
_reach, _at, _step = _milestones.reach, _milestones.at, _milestones.step


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
    """Find the plot that a line about a copy names; a new one if the log does not have its beginning."""
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
        (b"Working", r"Working Directory:\s*(.+)$", keep_path("tmp")),
        (b"Working", r"Working Directory 2:\s*(.+)$", keep_path("tmp2")),
        (b"Compression", r"Compression Level:\s*C(\d{1,2})", keep("compression", int)),
        (b"[P1]", r"\[P1\] Table ([1-6]) took", _step(1, lambda table: table + 1)),
        (b"[P2]", r"\[P2\] max_table_size", _at(2, 1)),
        (b"[P2]", r"\[P2\] Table ([2-7]) rewrite took", _step(2, lambda table: 9 - table)),
        (b"Wrote", r"Wrote plot header", _at(3, 1)),
        (b"[P3-2]", r"\[P3-2\] Table ([2-6]) took", _step(3)),
        (b"[P3]", r"\[P3\] Table ([2-6]) \w+ took", _step(3)),
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


class Madmax(Plotter):
    """`chia_plot` and `cuda_plot_*`."""

    name = "madmax"
    marks = (b"Multi-threaded pipelined Chia", b"next-gen CUDA plotter")
    rules = _RULES
    # Disk buffers of Gigahorse on a GPU carry no plot id: `cuda_plot_tmp2_<n>.tmp`.
    anonymous = re.compile(r"cuda_plot_tmp\d?_.*\.tmp\Z")

    def argv(self, plotting: Plotting, tmp: str, tmp2: str | None, dst: str) -> list[str]:
        chosen = plotting.madmax
        keys = key_arguments(plotting.farmer_pk, plotting.pool_pk, plotting.pool_contract_address)
        if chosen.mode is MadmaxMode.GPU:
            return [chosen.chosen_executable, *_gpu_arguments(chosen, tmp, tmp2, dst), *keys]
        return [
            chosen.chosen_executable,
            # Versions that only make k32 have no -k.
            *(("-k", str(chosen.k)) if chosen.k != 32 else ()),
            *(("-x", str(chosen.network_port)) if chosen.network_port else ()),
            *(("-C", str(chosen.compression)) if chosen.compression else ()),
            *("-n", "1"),
            *("-r", str(chosen.n_threads)),
            *("-u", str(chosen.n_buckets)),
            *("-v", str(chosen.n_buckets3)),
            *("-K", str(chosen.n_rmulti2)),
            *(("-G",) if chosen.tmptoggle else ()),
            *("-t", _slash(tmp)),
            *(("-2", _slash(tmp2)) if tmp2 else ()),
            *("-d", _slash(dst)),
            *keys,
        ]

    def mode_of(self, plotting: Plotting) -> Mode:
        return Mode.GPU if plotting.madmax.mode is MadmaxMode.GPU else Mode.CPU

    def recognise(self, argv: Sequence[str], cwd: str | None) -> CommandLine | None:
        wrapped = chia_cli.options(argv, chia_cli.MADMAX_WRAPPED, "plotters", "madmax")
        if wrapped:
            return self._command(wrapped, cwd, k=32, mode=Mode.CPU, wrapper=True)
        name, arguments = program(argv)
        gpu = _GPU.match(name)
        match = gpu or _CPU.match(name)
        if not match:
            return None
        found = parse(arguments, _GRAMMAR)
        if "help" in found.flags:
            return None
        # A GPU plotter's name gives its k; chia_plot_k34 plots k32 unless -k says otherwise.
        k = int(match["k"]) if gpu and match["k"] else 32
        return self._command(found, cwd, k=k, mode=Mode.GPU if gpu else Mode.CPU, wrapper=False)

    def space(self, k: int, compression: int | None, mode: Mode, separate_tmp2: bool) -> SizeEstimate:
        if mode is Mode.GPU:
            tmp, tmp2 = gigahorse_gpu_tmp_bytes(k, compression, separate_tmp2)
        else:
            tmp, tmp2 = madmax_tmp_bytes(k, separate_tmp2)
        return SizeEstimate(tmp, tmp2, compressed_plot_bytes(k, compression))

    def _command(self, found: Options, cwd: str | None, k: int, mode: Mode, wrapper: bool) -> CommandLine:
        tmp = normal(found.text("tmp") or ".", cwd)
        n = found.number("n")
        # Without -2, tmp2 is tmp; on a GPU it is memory.
        no_tmp2 = None if mode is Mode.GPU or found.text("tmp2") else tmp
        return CommandLine(
            plotter=self.name,
            k=k if found.text("k") is None else found.number("k"),
            n=1 if n is None else n,
            tmp=tmp,
            tmp2=normal(found.text("tmp2"), cwd) or no_tmp2,
            dst=normal(found.text("dst"), cwd) if found.text("dst") else tmp,
            compression=found.number("compression"),
            mode=mode,
            cwd=cwd,
            wrapper=wrapper,
        )


def _gpu_arguments(chosen: MadmaxOptions, tmp: str, tmp2: str | None, dst: str) -> list[str]:
    """Options of Gigahorse's `cuda_plot_*`, whose k is in their name."""
    valued = {
        "-x": chosen.network_port,
        "-C": chosen.compression or None,
        "-g": chosen.gpu_device,
        "-r": chosen.gpu_ndevices,
        "-S": chosen.gpu_streams,
        "-M": chosen.gpu_shared_memory,
    }
    folders = {"-t": tmp, "-2": tmp2, "-3": chosen.gpu_tmp3, "-d": dst}
    return [
        *("-n", "1"),
        *(word for option, value in valued.items() if value is not None for word in (option, str(value))),
        *(("-D",) if chosen.gpu_directio else ()),
        *(word for option, folder in folders.items() if folder for word in (option, _slash(folder))),
    ]


def _slash(directory: str) -> str:
    """End a directory in a slash, which madMAx demands."""
    return directory.rstrip("/") + "/"
