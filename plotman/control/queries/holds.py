"""What persons have stopped or drained, a sentence each: what, why, who, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from common.model.snapshot import HarvesterSnapshot, Hold, PlotterSnapshot
from common.model.units import counted
from plotman.control.farm import FarmState


def notes(farm: FarmState) -> Iterator[str]:
    """Times are by the clock of the host that is told of."""
    for plotter in farm.plotters.values():
        yield from _of_plotter(plotter)
    for harvester in farm.harvesters.values():
        yield from _of_harvester(harvester)
    if farm.waits is not None:
        yield from (f"{farm.waits.beat}: {problem}" for problem in farm.waits.problems)


def _of_plotter(snapshot: PlotterSnapshot) -> Iterator[str]:
    host, at, offset_s = snapshot.host, snapshot.at, snapshot.utc_offset_s
    if snapshot.starts_left:
        yield f"{host} starts {counted(snapshot.starts_left, 'more plot')}, then none"
    if snapshot.archiving_paused is not None:
        yield f"{host} {_told('begins no more transfers', snapshot.archiving_paused, at, offset_s)}"
    tmp2 = () if snapshot.tmp2 is None else (snapshot.tmp2,)
    for directory in (*snapshot.tmp_dirs, *tmp2, *snapshot.dst_dirs):
        if directory.drained is not None:
            yield f"{host}: {_told(f'{directory.path} is drained', directory.drained, at, offset_s)}"


def _of_harvester(snapshot: HarvesterSnapshot) -> Iterator[str]:
    host, at, offset_s = snapshot.host, snapshot.at, snapshot.utc_offset_s
    if snapshot.drained is not None:
        yield f"{host} {_told('takes no more plots', snapshot.drained, at, offset_s)}"
        return
    for drive in snapshot.drives:
        if drive.drained is not None:
            yield f"{host}: {_told(f'{drive.path} is drained', drive.drained, at, offset_s)}"


def _told(what: str, hold: Hold, now: datetime, utc_offset_s: int) -> str:
    from common.model.holds import sentence  # late: it brings the messages along, and seldom is anything held

    return sentence(what, hold, now, utc_offset_s)
