"""The official plotter, chiapos, by both of its commands: `chia plots create` and, with a stripe size, `chia
plotters chiapos` (chia-blockchain 2.7.5). Any k."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from common.config.sections.plotting import Plotting
from common.model.snapshot import Recipe
from plotter_worker.plotters import chia_cli, chiapos_log
from plotter_worker.plotters.base import CommandLine, LogReader, OwnFiles, SizeEstimate
from plotter_worker.plotters.names import normal, own_files
from plotter_worker.plotters.options import Options, key_arguments
from plotter_worker.plotters.size_estimates import chiapos_tmp_bytes, plot_bytes

_DEFAULT_K = 32
# Only `chia plots create` writes lines of Python's logging, too.
_CREATE_MARK = b"chia.plotting.create_plots"


class _Chiapos:
    """Members of `base.Plotter` that are the same for both commands."""

    def reader(self, command: CommandLine | None = None) -> LogReader:
        return chiapos_log.reader(command)

    def own_files(self, names: Iterable[str], plot_id: str | None) -> OwnFiles:
        return own_files(names, plot_id)

    def size_estimate(self, command: CommandLine) -> SizeEstimate | None:
        if command.k is None:
            return None
        return _size_estimate(command.k, command.tmp2 is not None and command.tmp2 != command.tmp)


class Chia(_Chiapos):
    """`chia plots create`. A `base.Plotter`."""

    name = "chia"

    def argv(self, plotting: Plotting, tmp: str, tmp2: str | None, dst: str) -> list[str]:
        chosen = plotting.chia
        return [
            *(chosen.executable, "plots", "create"),
            *_k_arguments(chosen.k),
            *("-n", "1"),
            *("-r", str(chosen.n_threads)),
            *("-u", str(chosen.n_buckets)),
            *("-b", str(chosen.job_buffer)),
            *("-t", tmp),
            *(("-2", tmp2) if tmp2 else ()),
            *("-d", dst),
            *(("-e",) if chosen.e else ()),
            *(("-x",) if chosen.x else ()),
            *key_arguments(plotting.farmer_pk, plotting.pool_pk, plotting.pool_contract_address),
        ]

    def recognise(self, argv: Sequence[str], cwd: str | None) -> CommandLine | None:
        found = chia_cli.options(argv, chia_cli.CREATE, "plots", "create")
        return _command_line(self.name, found, cwd) if found else None

    def recognise_log(self, head: bytes) -> bool:
        return _CREATE_MARK in head

    def recipe(self, plotting: Plotting, separate_tmp2: bool) -> Recipe:
        size = _size_estimate(plotting.chia.k, separate_tmp2)
        return Recipe(plotter=self.name, k=plotting.chia.k, **vars(size))


class ChiaPlottersChiapos(_Chiapos):
    """`chia plotters chiapos`. A `base.Plotter`."""

    name = "chiapos"

    def argv(self, plotting: Plotting, tmp: str, tmp2: str | None, dst: str) -> list[str]:
        chosen = plotting.chiapos
        return [
            *(chosen.executable, "plotters", "chiapos"),
            *_k_arguments(chosen.k),
            *("-n", "1"),
            *("-r", str(chosen.n_threads)),
            *("-u", str(chosen.n_buckets)),
            *("-b", str(chosen.job_buffer)),
            *("-s", str(chosen.stripes)),
            *("-t", tmp),
            *(("-2", tmp2) if tmp2 else ()),
            *("-d", dst),
            *(("-e",) if chosen.e else ()),
            # dst is where plots wait to be archived: chia's harvester must not farm it.
            "-x",
            *key_arguments(plotting.farmer_pk, plotting.pool_pk, plotting.pool_contract_address),
        ]

    def recognise(self, argv: Sequence[str], cwd: str | None) -> CommandLine | None:
        found = chia_cli.options(argv, chia_cli.PLOTTERS, "plotters", "chiapos")
        return _command_line(self.name, found, cwd) if found else None

    def recognise_log(self, head: bytes) -> bool:
        return chiapos_log.MARK in head

    def recipe(self, plotting: Plotting, separate_tmp2: bool) -> Recipe:
        size = _size_estimate(plotting.chiapos.k, separate_tmp2)
        return Recipe(plotter=self.name, k=plotting.chiapos.k, **vars(size))


def _k_arguments(k: int) -> list[str]:
    """Build `-k`, and for k25 to k31 the option that chia demands for plots too small to farm.

    Below k25 chia refuses that option, and the size too, unless `min_mainnet_k_size` in its config.yaml is
    lowered (chia 2.7.5, `validate_plot_size`).
    """
    return ["-k", str(k), *(["--override-k"] if 25 <= k < 32 else [])]


def _command_line(plotter: str, found: Options, cwd: str | None) -> CommandLine:
    """Apply chia's defaults: tmp2 falls back to tmp, and tmp to the working directory."""
    tmp = normal(found.text("tmp") or ".", cwd)
    return CommandLine(
        plotter=plotter,
        k=_DEFAULT_K if found.text("k") is None else found.number("k"),
        n=1 if found.text("n") is None else (found.number("n") or 1),
        tmp=tmp,
        tmp2=normal(found.text("tmp2"), cwd) or tmp,
        dst=normal(found.text("dst") or ".", cwd),
        cwd=cwd,
    )


def _size_estimate(k: int, separate_tmp2: bool) -> SizeEstimate:
    """A separate tmp2 holds the final file while it grows; within tmp it replaces deleted files."""
    plot = plot_bytes(k)
    return SizeEstimate(chiapos_tmp_bytes(k), plot if separate_tmp2 else 0, plot)
