"""Parts of plots that are complete on another drive: a drive that failed, or was pulled, while it took a plot
comes back with a part that nobody will ever ask for. Its room is given back at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from common.model.snapshot import DirState
from common.system.probe import Hanging
from harvester_worker.drives import digests
from harvester_worker.drives.plot_index import PlotIndex
from harvester_worker.drives.registry import CHANGE_S, LOOK_S, DriveRegistry
from harvester_worker.drives.survey import DriveSurvey
from harvester_worker.intake.resume import give_up

log = logging.getLogger(__name__)


def drop_superseded(drives: DriveRegistry, landed: PlotIndex, seen: Mapping[str, DriveSurvey]) -> None:
    """seen: the drives as they were just looked at. Never a part that is open for writing."""
    for drive, part, complete in list(_superseded(landed, seen)):
        try:
            home = str(complete.parent)
            # A file that came otherwise may be anything.
            if drives.probe.run(home, partial(digests.admitted, home, complete.name), LOOK_S) is None:
                continue
            drives.probe.run(drive, partial(give_up, drive, part), CHANGE_S)
        except (Hanging, OSError) as error:
            log.debug("%s stays for now: %s", part, error)
            continue
        log.info("%s is not needed: %s is there", part, complete, extra={"action": "swept", "drive": drive})


def _superseded(landed: PlotIndex, seen: Mapping[str, DriveSurvey]) -> Iterator[tuple[str, Path, Path]]:
    """(drive, part on it, where its plot was taken in) as far as memory tells."""
    usable = {path: look for path, look in seen.items() if look.report.state is DirState.OK}
    for drive, look in usable.items():
        for part in look.parts:
            home = landed.drive_of(part.record.plot_id) if part.record else None
            if part.record is not None and home is not None and home != drive and home in usable:
                yield drive, part.path, Path(home) / part.record.name
