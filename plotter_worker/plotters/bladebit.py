"""bladebit 1.x to 3.x: ramplot, diskplot, cudaplot; k32 only. Also as the child of `chia plotters bladebit
MODE`, which starts `bladebit` or `bladebit_cuda`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from common.config.sections.plotting import BladebitMode, BladebitOptions, Plotting
from common.model.snapshot import Recipe
from plotter_worker.plotters import bladebit_log, chia_cli
from plotter_worker.plotters.base import CommandLine, LogReader, Mode, OwnFiles, SizeEstimate
from plotter_worker.plotters.names import normal, own_files
from plotter_worker.plotters.options import Grammar, Options, key_arguments, parse, program
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


class Bladebit:
    """A `base.Plotter`."""

    name = "bladebit"

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

    def recognise_log(self, head: bytes) -> bool:
        return any(mark in head for mark in bladebit_log.MARKS)

    def reader(self, command: CommandLine | None = None) -> LogReader:
        return bladebit_log.reader(command)

    def own_files(self, names: Iterable[str], plot_id: str | None) -> OwnFiles:
        return own_files(names, plot_id, _ANONYMOUS)

    def size_estimate(self, command: CommandLine) -> SizeEstimate | None:
        separate = command.tmp2 is not None and command.tmp2 != command.tmp
        return _size_estimate(command.mode, command.compression, separate)

    def recipe(self, plotting: Plotting, separate_tmp2: bool) -> Recipe:
        chosen = plotting.bladebit
        mode = _MODES[chosen.mode.value]
        if mode is Mode.CUDA and (chosen.disk_128 or chosen.disk_16):
            mode = Mode.CUDA_DISK
        size = _size_estimate(mode, chosen.compression, separate_tmp2)
        return Recipe(plotter=self.name, k=K, **vars(size))

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


def _size_estimate(mode: Mode, compression: int | None, separate_tmp2: bool) -> SizeEstimate:
    tmp, tmp2 = 0, 0
    if mode is Mode.DISK:
        tmp, tmp2 = bladebit_disk_tmp_bytes(separate_tmp2)
    elif mode is Mode.CUDA_DISK:
        tmp, tmp2 = bladebit_cuda_tmp_bytes(separate_tmp2)
    return SizeEstimate(tmp, tmp2, compressed_plot_bytes(K, compression))
