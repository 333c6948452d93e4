"""The drives that `harvester.drives` names. The one place where configuration looks at the disk."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import PurePath

from common.config.farm import Harvester
from common.config.model import Config
from common.model.snapshot import DriveUse


def drives(config: Config) -> tuple[str, ...]:
    """Folders that harvester.drives may stand for now, each once, sorted within each pattern.

    A path without * ? [ is named even where it does not exist, so that a missing drive is seen missing. A
    pattern is matched up to its last * ? [ and no further: looking for `plots` of /mnt/*/plots in each folder
    would hang with any of the drives. Whether those are there is for the caller to find out, see `is_sure`.
    Empty without a harvester section.
    """
    if config.harvester is None:
        return ()
    found: dict[str, None] = {}
    for pattern in config.harvester.drives:
        wild, below = _split(pattern)
        matches = sorted(f"{path}{below}" for path in glob.glob(wild)) if wild else [pattern]  # noqa: PTH207
        found.update(dict.fromkeys(matches))
    return tuple(found)


def is_sure(section: Harvester, drive: str) -> bool:
    """Whether one that `drives` gives is a drive even where no folder is seen: it is named by its path, or a
    pattern saw it. Others are only supposed to be there. Compares names, as `use_of`."""
    return names((pattern for pattern in section.drives if not _split(pattern)[1]), drive)


def _split(pattern: str) -> tuple[str, str]:
    """(up to the last part with * ? [, the rest): ("/mnt/*", "/plots"); ("", "") without."""
    parts = pattern.split("/")
    wild = max((index for index, part in enumerate(parts) if glob.has_magic(part)), default=None)
    if wild is None:
        return "", ""
    return "/".join(parts[: wild + 1]), "".join(f"/{part}" for part in parts[wild + 1 :] if part)


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
