"""From where a plot moves: a plotter's directories, or a farming drive that is evacuated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from common.model.snapshot import DirState, Evacuating, FinishedPlot, HarvesterSnapshot, Hold, PlotterSnapshot


class Source(Protocol):
    """What the rules of moves read of it; PlotterSnapshot is one. harvesters: hosts that may take the plots;
    empty: any."""

    @property
    def host(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def utc_offset_s(self) -> int: ...
    @property
    def harvesters(self) -> tuple[str, ...]: ...
    @property
    def archiving_paused(self) -> Hold | None: ...


@dataclass(frozen=True, slots=True)
class EvacuatedDrive:
    """A farming drive that an operator has ordered to be evacuated.

    plots: the next ones to be moved, in this order.
    drives: harvester -> its only drives that may get the plots; a harvester that is missing there: any drive.
    device: its file system, by its own host.
    """

    host: str
    drive: str
    at: datetime
    utc_offset_s: int
    archiving_paused: Hold | None
    harvesters: tuple[str, ...]
    drives: Mapping[str, tuple[str, ...]]
    plots: tuple[FinishedPlot, ...]
    device: str | None

    @classmethod
    def of(
        cls, snapshot: HarvesterSnapshot, entry: Evacuating, plotter: PlotterSnapshot | None
    ) -> EvacuatedDrive | None:
        """The drive as its harvester shows it; None if it cannot be read and written now.

        Args:
            plotter: of the same host, whose operator may have paused archiving.
        """
        drive = next((each for each in snapshot.drives if each.path == entry.drive), None)
        if drive is None or drive.state is not DirState.OK:
            return None
        whole: list[str] = []
        single: dict[str, list[str]] = {}
        for place in entry.to:
            host, _, path = place.partition(":")
            if path:
                single.setdefault(host, []).append(path)
            else:
                whole.append(host)
        return cls(
            host=snapshot.host,
            drive=entry.drive,
            at=snapshot.at,
            utc_offset_s=snapshot.utc_offset_s,
            archiving_paused=plotter.archiving_paused if plotter is not None else None,
            harvesters=tuple(dict.fromkeys((*whole, *single))),
            drives={host: tuple(paths) for host, paths in single.items() if host not in whole},
            # A path elsewhere would be another drive's, or a plotter's.
            plots=tuple(plot for plot in entry.plots if plot.path.rpartition("/")[0] == entry.drive),
            device=drive.device,
        )

    def seen_at(self, harvester: HarvesterSnapshot) -> HarvesterSnapshot:
        """The snapshot of a harvester with those drives only that may get a plot from here."""
        named = self.drives.get(harvester.host)
        drives = tuple(
            drive
            for drive in harvester.drives
            if (named is None or drive.path in named)
            and not (harvester.host == self.host and drive.device is not None and drive.device == self.device)
        )
        return harvester.model_copy(update={"drives": drives})
