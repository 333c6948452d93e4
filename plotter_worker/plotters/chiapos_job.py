"""What `chia plots create` and `chia plotters chiapos` share: the same library makes the plot."""

from __future__ import annotations

from collections.abc import Iterable

from plotter_worker.plotters import chiapos_log
from plotter_worker.plotters.base import CommandLine, LogReader, OwnFiles, Room
from plotter_worker.plotters.options import Options
from plotter_worker.plotters.paths import normal
from plotter_worker.plotters.scratch import own_files
from plotter_worker.plotters.size_estimates import chiapos_tmp_bytes, plot_bytes

DEFAULT_K = 32


def k_arguments(k: int) -> list[str]:
    """`-k`, and for k25 to k31 the word that chia wants for plots too small to farm.

    Below k25 it refuses the word, and the size too, unless `min_mainnet_k_size` in its config.yaml is
    lowered (chia 2.7.5, `validate_plot_size`).
    """
    return ["-k", str(k), *(["--override-k"] if 25 <= k < 32 else [])]


def key_arguments(farmer_pk: str | None, pool_pk: str | None, contract: str | None) -> list[str]:
    """-f, -p and -c, which chia, madMAx and bladebit spell alike; absent keys are left out."""
    keys = (("-f", farmer_pk), ("-p", pool_pk), ("-c", contract))
    return [word for option, key in keys if key for word in (option, key)]


def command_line(plotter: str, found: Options, cwd: str | None) -> CommandLine:
    """What the options mean; tmp2 falls back to tmp and tmp to the working directory, as in chia."""
    tmp = normal(found.text("tmp") or ".", cwd)
    return CommandLine(
        plotter=plotter,
        k=DEFAULT_K if found.text("k") is None else found.number("k"),
        n=1 if found.text("n") is None else (found.number("n") or 1),
        tmp=tmp,
        tmp2=normal(found.text("tmp2"), cwd) or tmp,
        dst=normal(found.text("dst") or ".", cwd),
        cwd=cwd,
    )


class Chiapos:
    """What both commands answer alike."""

    def reader(self, command: CommandLine | None = None) -> LogReader:
        return chiapos_log.reader(command)

    def own_files(self, names: Iterable[str], plot_id: str | None) -> OwnFiles:
        return own_files(names, plot_id)

    def room(self, command: CommandLine) -> Room | None:
        if command.k is None:
            return None
        return chiapos_room(command.k, command.tmp2 is not None and command.tmp2 != command.tmp)


def chiapos_room(k: int, separate_tmp2: bool) -> Room:
    """tmp2 holds the final file while it grows; in tmp it replaces what is deleted."""
    plot = plot_bytes(k)
    return Room(chiapos_tmp_bytes(k), plot if separate_tmp2 else 0, plot)
