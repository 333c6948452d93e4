"""The drives that `harvester.drives` names. The one place where configuration looks at the disk."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import PurePath

from common.config.farm import Harvester
from common.config.model import Config
from common.snapshot import DriveUse


def drives(config: Config) -> tuple[str, ...]:
    """Folders that harvester.drives stands for now, each once, sorted within each pattern.

    A path without * ? [ is named even where it does not exist, so that a missing drive is seen missing; a
    pattern gives what it matches at this moment. Empty without a harvester section.
    """
    if config.harvester is None:
        return ()
    found: dict[str, None] = {}
    for pattern in config.harvester.drives:
        matches = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]  # noqa: PTH207
        found.update(dict.fromkeys(matches))
    return tuple(found)


def use_of(section: Harvester, drive: str) -> DriveUse:
    """What the owner wants of a drive. Compares names and looks at no disk: one that is to be left alone
    may hang. A drive that is named both ways is disabled."""
    if names(section.disabled, drive):
        return DriveUse.DISABLED
    return DriveUse.DRAINING if names(section.draining, drive) else DriveUse.ACTIVE


def names(patterns: Iterable[str], drive: str) -> bool:
    """Whether one of the paths or patterns stands for this drive; * and ? match no slash."""
    path = PurePath(drive)
    return any(path == PurePath(pattern) or path.match(pattern) for pattern in patterns)
