"""The drives that `harvester.drives` names. The one place where configuration looks at the disk."""

from __future__ import annotations

import glob

from common.config.model import Config


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
