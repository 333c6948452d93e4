"""madMAx's `chia_plot` (1.1.8), also as the child of `chia plotters madmax`; and Gigahorse, whose CPU plotter
has the same name, and whose GPU plotters have names like `cuda_plot_k32`.

This module and `madmax_log.py` are the pair to copy for a new plotter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from common.config.sections.plotting import Plotting
from common.model.snapshot import Recipe
from plotter_worker.plotters import chia_cli, madmax_log
from plotter_worker.plotters.base import CommandLine, LogReader, Mode, OwnFiles, SizeEstimate
from plotter_worker.plotters.names import normal, own_files
from plotter_worker.plotters.options import Grammar, Options, key_arguments, parse, program
from plotter_worker.plotters.size_estimates import (
    compressed_plot_bytes,
    gigahorse_gpu_tmp_bytes,
    madmax_tmp_bytes,
)

_CPU = re.compile(r"chia_plot(?:_k(?P<k>\d\d))?\Z")
_GPU = re.compile(r"cuda_plot(?:_k(?P<k>\d\d)(?:_v\d+)?)?\Z")
# Disk buffers of Gigahorse on a GPU carry no plot id: `cuda_plot_tmp2_<n>.tmp`.
_ANONYMOUS = re.compile(r"cuda_plot_tmp\d?_.*\.tmp\Z")

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


class Madmax:
    """A `base.Plotter`."""

    name = "madmax"

    def argv(self, plotting: Plotting, tmp: str, tmp2: str | None, dst: str) -> list[str]:
        chosen = plotting.madmax
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
            *key_arguments(plotting.farmer_pk, plotting.pool_pk, plotting.pool_contract_address),
        ]

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

    def recognise_log(self, head: bytes) -> bool:
        return any(mark in head for mark in madmax_log.MARKS)

    def reader(self, command: CommandLine | None = None) -> LogReader:
        return madmax_log.reader(command)

    def own_files(self, names: Iterable[str], plot_id: str | None) -> OwnFiles:
        return own_files(names, plot_id, _ANONYMOUS)

    def size_estimate(self, command: CommandLine) -> SizeEstimate | None:
        if command.k is None:
            return None
        separate = command.tmp2 is not None and command.tmp2 != command.tmp
        return _size_estimate(command.k, command.compression, separate, command.mode)

    def recipe(self, plotting: Plotting, separate_tmp2: bool) -> Recipe:
        chosen = plotting.madmax
        size = _size_estimate(chosen.k, chosen.compression, separate_tmp2, Mode.CPU)
        return Recipe(plotter=self.name, k=chosen.k, **vars(size))

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


def _slash(directory: str) -> str:
    """End a directory in a slash, which madMAx demands."""
    return directory.rstrip("/") + "/"


def _size_estimate(k: int, compression: int | None, separate_tmp2: bool, mode: Mode) -> SizeEstimate:
    if mode is Mode.GPU:
        tmp, tmp2 = gigahorse_gpu_tmp_bytes(k, compression, separate_tmp2)
    else:
        tmp, tmp2 = madmax_tmp_bytes(k, separate_tmp2)
    return SizeEstimate(tmp, tmp2, compressed_plot_bytes(k, compression))
