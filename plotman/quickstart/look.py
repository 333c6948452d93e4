"""One look at the farm: what the notice board and the folders say at this moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.model.snapshot import Drive, Job, Transfer, Wait
from common.names import Role
from common.store import Board
from plotman.quickstart.layout import Layout, plots_in


@dataclass(frozen=True)
class Look:
    """on_drives, in_dst: plot id -> file. drives: empty until the harvester has spoken."""

    jobs: tuple[Job, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    drives: tuple[Drive, ...] = ()
    waits: tuple[Wait, ...] = ()
    problems: tuple[str, ...] = ()
    on_drives: Mapping[str, Path] = field(default_factory=dict)
    in_dst: Mapping[str, Path] = field(default_factory=dict)


def look(board: Board, layout: Layout) -> Look:
    """Read it all. Raises BrokerError while the broker is away."""
    plotters = list(board.snapshots(Role.PLOTTER).values())
    archivers = list(board.snapshots(Role.ARCHIVER).values())
    harvesters = list(board.snapshots(Role.HARVESTER).values())
    waits = board.waits()
    return Look(
        jobs=tuple(job for host in plotters for job in host.jobs),
        transfers=tuple(transfer for host in archivers for transfer in host.transfers),
        drives=tuple(drive for host in harvesters for drive in host.drives),
        waits=waits.waits if waits else (),
        problems=tuple(problem for host in (*plotters, *archivers, *harvesters) for problem in host.problems),
        on_drives=plots_in(layout.drives),
        in_dst=plots_in(layout.dst),
    )
