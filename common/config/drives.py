"""The drives that `harvester.drives` names. Apart from checks, the only module here that reads the disk."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import PurePath

from common.config.farm import Harvester
from common.config.model import Config
from common.model.snapshot import DriveUse


def drives(config: Config) -> tuple[str, ...]:
    """Folders that harvester.drives may mean now, each once, sorted within each pattern.

    A path without * ? [ is listed even if it does not exist, so that a missing drive is noticed. A pattern is
    matched only up to its last * ? [: to look for `plots` of /mnt/*/plots in each folder could hang at one
    drive. The caller has to find out whether those exist (`is_sure`). Empty without a harvester section.
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
    """Whether an item of `drives` is a drive even if its folder is not found: plotman.yaml names its path,
    or a pattern matched it. Other items are guesses. Reads no disk."""
    return names((pattern for pattern in section.drives if not _split(pattern)[1]), drive)


def _split(pattern: str) -> tuple[str, str]:
    """(up to the last part with * ? [, the rest): ("/mnt/*", "/plots"); ("", "") without."""
    parts = pattern.split("/")
    wild = max((index for index, part in enumerate(parts) if glob.has_magic(part)), default=None)
    if wild is None:
        return "", ""
    return "/".join(parts[: wild + 1]), "".join(f"/{part}" for part in parts[wild + 1 :] if part)


def use_of(section: Harvester, drive: str) -> DriveUse:
    """How the owner wants a drive to be used. Reads no disk, because a disabled drive may hang. A drive that
    is both draining and disabled is disabled."""
    if names(section.disabled, drive):
        return DriveUse.DISABLED
    return DriveUse.DRAINING if names(section.draining, drive) else DriveUse.ACTIVE


def names(patterns: Iterable[str], drive: str) -> bool:
    """Whether one of the paths or patterns matches this drive; * and ? match no slash."""
    path = PurePath(drive)
    return any(path == PurePath(pattern) or path.match(pattern) for pattern in patterns)
