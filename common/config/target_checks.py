"""What this machine lacks of the target that takes its plots, where that is none of the farm's harvesters."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from common.config import path_filter
from common.config.archiving import Archiving, TargetDefinition
from common.config.model import Config
from common.config.presets import FILTER
from common.config.problems import Found, Level
from common.model.paths import one_spelling
from common.system.mounts import Mounts

Location = tuple[str | int, ...]


def target_lacks(config: Config) -> Iterator[Found]:
    """What is missing: drives of local_rsync, programs of a target that the user defined."""
    archiving = config.archiving
    if archiving is None:
        return
    definition = archiving.target_definitions.get(archiving.target)
    if definition is not None:
        yield from _own(archiving, definition)
    elif archiving.target == "local_rsync":
        yield from _local(archiving)


def _own(archiving: Archiving, definition: TargetDefinition) -> Iterator[Found]:
    above: Location = ("archiving", "target_definitions", archiving.target)
    for key in ("disk_space_path", "transfer_path"):
        script = getattr(definition, key)
        if script is not None and not (Path(script).is_file() and os.access(script, os.X_OK)):
            yield (
                (*above, key),
                f"{script} is not there, or may not be run",
                f"Look: ls -l {script}",
                Level.ERROR,
            )
    variables = {*os.environ, *definition.env, *archiving.env, "process_name", "source", "destination"}
    for key in ("transfer_process_name", "transfer_process_argument_prefix"):
        for name in re.findall(r"{(\w+)}", getattr(definition, key)):
            if name not in variables:
                yield (*above, key), f"names {name}, which env does not have", "Add it to env.", Level.WARNING
    for key in ("disk_space_script", "transfer_script"):
        script = getattr(definition, key)
        if script is not None and not script.startswith("#!"):
            yield (*above, key), "does not begin with #!", "Begin it with #!/bin/sh, say.", Level.ERROR


def _local(archiving: Archiving) -> Iterator[Found]:
    if not archiving.env.get("site_root", "").strip():
        return
    root = one_spelling(archiving.env["site_root"])
    mounted = Mounts.now().types
    drives = [point for point in mounted if point.startswith(f"{root.rstrip('/')}/")]
    drives = drives or [point for point in mounted if point == root]
    pattern = archiving.env.get(FILTER, ".*")
    if not drives:
        what = f"no drive is mounted below {root}, and no plot would be moved"
        yield ("archiving", "env", "site_root"), what, "Mount the drives, or correct this.", Level.WARNING
    elif path_filter.flaw(pattern) is None and not path_filter.fitting(pattern, drives):
        what = f"fits none of the drives below {root} ({len(drives)}), and no plot would be moved"
        yield ("archiving", "env", FILTER), what, "Correct it; .* takes every drive.", Level.WARNING
