"""On which drives old plots may be replaced, and how much space stays free there. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from beat.policy.replot.planner import DriveState
from common.model.replot_victims import DriveId
from common.model.snapshot import DirState, Drive, DriveUse, HarvesterSnapshot


def drive_states(
    harvesters: Mapping[str, HarvesterSnapshot], low_water_bytes: int
) -> dict[DriveId, DriveState]:
    """The drives of the harvesters, in the order in which they come.

    Args:
        harvesters: live ones.
        low_water_bytes: of the farm; counts where a harvester has no own figure.
    """
    return {
        DriveId(host, drive.path): DriveState(
            free_bytes=drive.free_bytes,
            low_water_bytes=_low_water_bytes(snapshot, low_water_bytes),
            closed=why_closed(snapshot, drive),
            device=drive.device,
        )
        for host, snapshot in sorted(harvesters.items())
        for drive in snapshot.drives
    }


def _low_water_bytes(snapshot: HarvesterSnapshot, of_farm_bytes: int) -> int:
    own_bytes = snapshot.low_water_bytes
    return max(of_farm_bytes if own_bytes is None else own_bytes, snapshot.margin_bytes)


def why_closed(snapshot: HarvesterSnapshot, drive: Drive) -> str | None:
    """Why no plot on a drive may be replaced; None: they may.

    Args:
        snapshot: of its harvester.
        drive: one of its drives.
    """
    if not snapshot.replot:
        return f"harvester.replot is off on {snapshot.host}"
    if drive.use is DriveUse.DISABLED:
        return "the drive is disabled"
    if drive.state is not DirState.OK:
        return f"the drive is {drive.state}"
    if drive.disk is not None and drive.disk.fails:
        return "the disk expects to fail"
    if any(one.drive == drive.path for one in snapshot.evacuations):
        return "the drive is evacuated"
    if snapshot.drained or drive.drained or drive.use is DriveUse.DRAINING:
        return "the drive is draining"
    return None
