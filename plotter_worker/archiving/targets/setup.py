"""Makes the mover that plotman.yaml asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from common.config import Config
from common.model.snapshot import Transfer
from plotter_worker.archiving.targets.definition import target_of
from plotter_worker.archiving.targets.mover import Mover, Surroundings
from plotter_worker.archiving.targets.space_monitor import TargetSpaceMonitor


def mover_of(
    settings: Config,
    dirs: tuple[str, ...],
    show: Callable[[Transfer | None, str], None],
    changed: Callable[[], None],
    publish: Callable[[], None],
) -> Mover | None:
    """The mover of this host; None where harvesters take the plots. The rest as in Surroundings; changed:
    the snapshot is to be built anew, soon. Raises OSError where the state folder cannot be written."""
    target = target_of(settings)
    if target is None:
        return None
    owner = str(settings.state_dir)
    around = Surroundings(
        host=settings.host,
        owner=owner,
        dirs=dirs,
        log_dir=Path(settings.logging.transfers),
        show=show,
        publish=publish,
    )
    return Mover(
        target, TargetSpaceMonitor(target, owner, Path(settings.logging.disk_spaces), changed), around
    )
