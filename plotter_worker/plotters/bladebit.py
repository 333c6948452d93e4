"""bladebit 1.x to 3.x: ramplot, diskplot, cudaplot; k32 only. Also as the child of `chia plotters bladebit
MODE`, which starts `bladebit` or `bladebit_cuda`.

Lines of its log are from 1.2.4 and 3.1.1 (source and public logs). Phases of ramplot are the same as in
plotman 0.5.3; the other modes have similar ones:

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
from collections.abc import Sequence

from common.config.sections.plotter_options import BladebitMode, BladebitOptions
from common.config.sections.plotting import Plotting
from common.model.phase import Phase
from plotter_worker.plotters import chia_cli
from plotter_worker.plotters.base import CommandLine, Mode, SizeEstimate, normal, parent
from plotter_worker.plotters.log_parser import (
    ARROW,
    SHARED_RULES,
    Handler,
    Milestones,
    keep,
    keep_path,
    merged,
    rules,
    waits,
    whole_line,
)
from plotter_worker.plotters.log_state import PlotLogState
from plotter_worker.plotters.options import Grammar, Options, key_arguments, parse, program
from plotter_worker.plotters.plotter import Plotter
from plotter_worker.plotters.size_estimates import (
    bladebit_cuda_tmp_bytes,
    bladebit_disk_tmp_bytes,
    compressed_plot_bytes,
)

K = 32
_PROGRAMS = frozenset({"bladebit", "bladebit_cuda"})
_MODES = {"ramplot": Mode.RAM, "diskplot": Mode.DISK, "cudaplot": Mode.CUDA}
# Commands that do not plot (3.1.1).
_OTHER_COMMANDS = frozenset(
    {"help", "check", "validate", "plotcmp", "simulate", "iotest", "memtest", "cudacheck"}
)  # fmt: skip

# Scratch files of diskplot (`t1_0.tmp`, `map2_0.tmp`, `y0_0.tmp`, `meta0_0.tmp`, `index0_0.tmp`,
# `table_2_marks_0.tmp`, `lp_2_0.tmp`, `lp_map_0_0.tmp`) and of cudaplot's disk modes (`table_l_2.tmp`,
# `p1unsorted_r.tmp`): none carries a plot id.
_ANONYMOUS = re.compile(
    r"(?:(?:t[1-7]|map[2-7]|y[01]|meta[01]|index[01])_\d+"
    r"|table_[1-7]_marks_\d+|lp_\w+|table_[lr]_\d+|p1\w+_\w+)\.tmp\Z"
)

# Words are not split: `-t1` is an option, not `-t 1`. `-t`, before the command, is the number of threads.
_GRAMMAR = Grammar(
    values={
        "-t": "threads", "--threads": "threads",
        "-n": "n", "--count": "n",
        "-f": "farmer", "--farmer-key": "farmer",
        "-p": "pool", "--pool-key": "pool",
        "-c": "contract", "--pool-contract": "contract",
        "-i": "id", "--plot-id": "id",
        "--memo": "memo",
        "-t1": "tmp", "--temp1": "tmp",
        "-t2": "tmp2", "--temp2": "tmp2",
        "-b": "buckets", "--buckets": "buckets",
        "--cache": "cache",
        "--f1-threads": "f1", "--fp-threads": "fp", "--c-threads": "ct",
        "--p2-threads": "p2", "--p3-threads": "p3",
        "-d": "device", "--device": "device",
        "--check": "check", "--check-threshold": "threshold",
    },
    flags={
        "-w": "w", "--warm-start": "w",
        "-m": "numa", "--no-numa": "numa",
        "-v": "verbose", "--verbose": "verbose",
        "-a": "alternate", "--alternate": "alternate",
        "--disk-128": "disk128", "--disk-16": "disk16",
        "-h": "help", "--help": "help", "--version": "help", "--about": "help",
        "--memory": "help", "--memory-json": "help",
    },
    clusters=False,
)  # fmt: skip

# Percent at which each phase begins and ends. ramplot: 314 s in phase 1 of 583 in all (public log of 1.x),
# phase 3 about a third, 20 s of writing. cudaplot: 67, 11 and 87 s, 15 s of writing (bladebit#296).
# diskplot does the same work as ramplot, so its shares are taken from there: no complete log is public.
_RAM_PERCENT = {1: (0.0, 54.0), 2: (54.0, 62.0), 3: (62.0, 96.0), 4: (96.0, 97.0), 5: (97.0, 99.0)}
_CUDA_PERCENT = {1: (0.0, 37.0), 2: (37.0, 43.0), 3: (43.0, 92.0), 5: (92.0, 99.0)}
_STEPS = {1: 7, 2: 6, 3: 7, 4: 4, 5: 2}
_WRITING = {"P7": 1, "C1": 2, "C2": 3, "C3": 4}


def _percent(mode: Mode, phase: Phase) -> float:
    """All steps of a phase have equal shares."""
    begin, end = (_CUDA_PERCENT if mode is Mode.CUDA else _RAM_PERCENT).get(phase.major, (0.0, 0.0))
    steps_done = max(phase.minor - 1, 0) / _STEPS.get(phase.major, 1)
    return begin + (end - begin) * min(steps_done, 1.0)


_milestones = Milestones(_percent)
_reach, _at, _step = _milestones.reach, _milestones.at, _milestones.step


def _mode_is(mode: Mode) -> Handler:
    return lambda state, _match: setattr(state, "mode", mode)


def _allocating(state: PlotLogState, _match: re.Match[str]) -> None:
    if not state.begun:
        _reach(state, 0, 1)


def _begin(state: PlotLogState, match: re.Match[str]) -> None:
    state.begin_plot()
    state.asked = int(match[1] or 0)
    state.plot.plot_id = match[2]
    state.plot.k = 32  # the only k that it makes
    _reach(state, 0, 2)


def _temporary_file(state: PlotLogState, match: re.Match[str]) -> None:
    state.set_name(match[1])
    state.plot.final = state.path(match[1])
    if state.plot.final:
        state.plot.dst = parent(state.plot.final)


def _running(state: PlotLogState, match: re.Match[str]) -> None:
    _reach(state, int(match[1]), 0)


def _writing(state: PlotLogState, match: re.Match[str]) -> None:
    _reach(state, 4, _WRITING[match[1]])


def _phase_done(state: PlotLogState, match: re.Match[str]) -> None:
    phase = int(match[1])
    state.plot.phase_times_s[phase] = float(match[2])
    last = 4 if state.mode not in (Mode.DISK, Mode.CUDA) else 3
    _reach(state, phase + 1 if phase < last else 5, 0)


def _plotting_done(state: PlotLogState, match: re.Match[str]) -> None:
    state.plot.total_s = float(match[1])
    _reach(state, 5, 1)
    _complete(state)


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
        _reach(state, 5, 2)
        state.complete(plot, plot.path)


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
        (b"[Bladebit", r"\[Bladebit Disk Plotter\]", _mode_is(Mode.DISK)),
        (b"[Bladebit", r"\[Bladebit CUDA Plotter\]", _mode_is(Mode.CUDA)),
        (b"Creating", r"Creating (\d{1,9}) plots", keep("asked", int)),
        (b"Will", r"Will create (\d{1,9}) plots", keep("asked", int)),
        (b"Output", r"Output path\s*:\s*(.+)$", keep_path("dst")),
        (b"Temp1", r"Temp1 path\s*:\s*(.+)$", keep_path("tmp")),
        (b"Temp2", r"Temp2 path\s*:\s*(.+)$", keep_path("tmp2")),
        (b"Compression", r"Compression Level\s*:\s*(\d{1,2})", keep("compression", int)),
        (b"Allocating", r"Allocating (?:buffers|memory)", _allocating),
        (b"Generating", r"Generating plot \d+(?: / (\d{1,9}))?: ([0-9a-f]{64})$", _begin),
        (b"Generating", r"Generating [Ff]1", _at(1, 1)),
        (b"Plot", r"Plot temporary file: (.+\.plot)\.tmp$", _temporary_file),
        (b"Plot", r"Plot (.+\.plot) finished writing to disk", _renamed),
        (b"Running", r"Running Phase ([1-4])$", _running),
        (b"Forward", r"Forward propagating to table ([2-7])", _step(1)),
        (b"Table", r"Table ([1-7])(?:: F1 generation)?$", _step(1)),
        (b"Table", r"Table ([2-7]) completed in", _step(1, lambda table: min(table + 1, 7))),
        (b"Prunning", r"Prunning table ([2-6])", _step(2, lambda table: 7 - table)),
        (b"Pruning", r"Pruning table ([2-6])", _step(2, lambda table: 7 - table)),
        (b"Marked", r"Marked Table ([2-6]) in", _step(2, lambda table: 8 - table)),
        (b"Compressing", r"Compressing [Tt]ables? ([1-6]) and", _step(3)),
        (b"Serializing", r"Serializing P7 entries", _at(3, 7)),
        (b"Writing", r"Writing P7 parks", _at(3, 7)),
        (b"Writing", r"Writing (P7|C1|C2|C3)\b", _writing),
        (b"Writing", r"Writing final plot tables to disk", _at(5, 1)),
        (b"Waiting", r"Waiting for plot file to complete", _at(5, 1)),
        (b"Finished", r"Finished F1 generation in", _at(1, 1)),
        (b"Finished", r"Finished F1 in", _at(1, 2)),
        (b"Finished", r"Finished marking table ([2-6]) in", _step(2, lambda table: 8 - table)),
        (b"Finished", rf"Finished Phase ([1-4]) in {_SECONDS}", _phase_done),
        (b"Finished", rf"Finished writing tables to disk in {_SECONDS}", keep("copy_s", float)),
        (b"Finished", rf"Finished plotting in {_SECONDS}", _plotting_done),
        (b"Completed", rf"Completed Phase ([1-3]) in {_SECONDS}", _phase_done),
        (b"Completed", rf"Completed Plot \d+ in {_SECONDS}", _plotting_done),
        (b"Completed", rf"Completed (?:writing plot|pending writes) in {_SECONDS}", keep("copy_s", float)),
        (b"Renaming", r"Renaming plot to '(.+\.plot)'", _renamed),
        (ARROW, r".+\.plot\.tmp -> (.+\.plot)$", _renamed),
        (b"No", r"No space left in plot output directory .*", waits),
        (b"Fatal", r"Fatal Error:\s*(.*)$", _fatal),
        (b"[ERROR]", r"\[ERROR\] Fatal Error:\s*(.*)$", _fatal),
        (b"***", r"\*\*\* (?:Panic!!!|Crashed!) \*\*\*(?:\s*Fatal Error:)?\s*(.*)$", _fatal),
        (b"[PlotWriter]", r"\[PlotWriter\] Error: .+", whole_line),
        (b"ERROR:", r"ERROR: .+", whole_line),
    ),
    SHARED_RULES,
)


class Bladebit(Plotter):
    """`bladebit` and `bladebit_cuda`."""

    name = "bladebit"
    marks = (b"Bladebit Chia Plotter", b"[Bladebit ", b"Memory required: 416 GiB.")
    rules = _RULES
    anonymous = _ANONYMOUS
    secret_options = ("--memo",)  # with a plot's private key

    def argv(self, plotting: Plotting, tmp: str, tmp2: str | None, dst: str) -> list[str]:
        chosen = plotting.bladebit
        return [
            chosen.chosen_executable,
            *(("-t", str(chosen.threads)) if chosen.threads else ()),
            *("-n", "1"),
            *key_arguments(plotting.farmer_pk, plotting.pool_pk, plotting.pool_contract_address),
            *(("--compress", str(chosen.compression)) if chosen.compression else ()),
            *(("--no-numa",) if chosen.no_numa else ()),
            chosen.mode.value,
            *_mode_arguments(chosen, tmp, tmp2),
            dst,
        ]

    def recognise(self, argv: Sequence[str], cwd: str | None) -> CommandLine | None:
        for word, mode in _MODES.items():
            wrapped = chia_cli.options(argv, chia_cli.BLADEBIT_WRAPPED, "plotters", "bladebit", word)
            if wrapped:
                return self._command(wrapped, wrapped.text("dst"), mode, cwd, wrapper=True)
        name, arguments = program(argv)
        if name not in _PROGRAMS:
            return None
        arguments, compression = _without_compression(arguments)
        found = parse(arguments, _GRAMMAR)
        if "help" in found.flags or not found.words or found.words[0] in _OTHER_COMMANDS:
            return None
        if compression is not None:
            found.values["compression"] = compression
        # 1.x has no commands: it plots in RAM. The last word is dst; of several directories, the log names
        # the one that a plot goes to.
        mode = next((_MODES[word] for word in found.words if word in _MODES), Mode.RAM)
        dst = found.words[-1] if found.words[-1] not in _MODES else None
        return self._command(found, dst, mode, cwd, wrapper=False)

    def space(self, k: int, compression: int | None, mode: Mode, separate_tmp2: bool) -> SizeEstimate:
        tmp, tmp2 = 0, 0
        if mode is Mode.DISK:
            tmp, tmp2 = bladebit_disk_tmp_bytes(separate_tmp2)
        elif mode is Mode.CUDA_DISK:
            tmp, tmp2 = bladebit_cuda_tmp_bytes(separate_tmp2)
        return SizeEstimate(tmp, tmp2, compressed_plot_bytes(k, compression))

    def mode_of(self, plotting: Plotting) -> Mode:
        chosen = plotting.bladebit
        mode = _MODES[chosen.mode.value]
        return Mode.CUDA_DISK if mode is Mode.CUDA and (chosen.disk_128 or chosen.disk_16) else mode

    def _command(
        self, found: Options, dst: str | None, mode: Mode, cwd: str | None, wrapper: bool
    ) -> CommandLine:
        if mode is Mode.CUDA and found.flags & {"disk128", "disk16"}:
            mode = Mode.CUDA_DISK
        uses_tmp = mode in (Mode.DISK, Mode.CUDA_DISK)
        # If only one of the two is given, it serves as both.
        tmp = normal(found.text("tmp") or found.text("tmp2"), cwd) if uses_tmp else None
        number = found.number("n")
        return CommandLine(
            plotter=self.name,
            k=K,
            n=1 if number is None else number,
            tmp=tmp,
            tmp2=(normal(found.text("tmp2"), cwd) or tmp) if uses_tmp else None,
            dst=normal(dst, cwd),
            compression=found.number("compression") or None,
            mode=mode,
            cwd=cwd,
            wrapper=wrapper,
        )


def _mode_arguments(chosen: BladebitOptions, tmp: str, tmp2: str | None) -> list[str]:
    """Build the options that follow the command."""
    words: list[str] = []
    valued: dict[str, str | float | None]
    if chosen.mode is BladebitMode.DISK:
        valued = {
            "--buckets": chosen.diskplot_buckets,
            "--cache": chosen.diskplot_cache,
            "--f1-threads": chosen.f1threads,
            "--fp-threads": chosen.fpthreads,
            "--c-threads": chosen.cthreads,
            "--p2-threads": chosen.p2threads,
            "--p3-threads": chosen.p3threads,
        }
    elif chosen.mode is BladebitMode.CUDA:
        valued = {"--device": chosen.device, "--check": chosen.check_plots}
        if chosen.check_plots:
            valued["--check-threshold"] = chosen.check_threshold
        words += ["--disk-128"] * chosen.disk_128 + ["--disk-16"] * chosen.disk_16
    else:
        return words
    words += [word for option, value in valued.items() if value is not None for word in (option, str(value))]
    if chosen.mode is BladebitMode.DISK or chosen.disk_128 or chosen.disk_16:
        words += ["--temp1", tmp, "--temp2", tmp2 or tmp]
        if chosen.no_direct_io:
            words += ["--no-t1-direct", "--no-t2-direct"]
    return words


def _without_compression(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """Split off `-z` or `--compress` and its level, which is optional: without one the level is 1."""
    rest = list(arguments)
    for option in ("-z", "--compress"):
        if option in rest:
            at = rest.index(option)
            if at + 1 < len(rest) and rest[at + 1].isdigit():
                return rest[:at] + rest[at + 2 :], rest[at + 1]
            return rest[:at] + rest[at + 1 :], "1"
    return rest, None
