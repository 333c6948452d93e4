"""`chia plots create`, the official plotter's own command (chia-blockchain 2.7.5)."""

from __future__ import annotations

from collections.abc import Sequence

from common.config.plotting import Plotting
from common.model.snapshot import Recipe
from plotter_worker.plotters.base import CommandLine
from plotter_worker.plotters.chia_cli import CREATE, options
from plotter_worker.plotters.chiapos_job import (
    Chiapos,
    chiapos_room,
    command_line,
    k_arguments,
    key_arguments,
)

# Only this command logs in Python, too.
_MARK = b"chia.plotting.create_plots"


class Chia(Chiapos):
    """A `base.Plotter`."""

    name = "chia"

    def argv(self, plotting: Plotting, tmp: str, tmp2: str | None, dst: str) -> list[str]:
        chosen = plotting.chia
        return [
            *(chosen.executable, "plots", "create"),
            *k_arguments(chosen.k),
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
        found = options(argv, CREATE, "plots", "create")
        return command_line(self.name, found, cwd) if found else None

    def recognise_log(self, head: bytes) -> bool:
        return _MARK in head

    def recipe(self, plotting: Plotting, separate_tmp2: bool) -> Recipe:
        room = chiapos_room(plotting.chia.k, separate_tmp2)
        return Recipe(plotter=self.name, k=plotting.chia.k, **vars(room))
