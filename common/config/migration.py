"""`plotman config migrate`: writes the file of an older plotman anew, beside the old one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from common.config import legacy
from common.config.loader import find_problems, read
from common.config.problems import Problem
from common.errors import ConfigError, PlotmanError


@dataclass(frozen=True)
class Migration:
    """What was written, what was changed on the way, and what is left to mend in the new file."""

    written: Path
    changes: tuple[legacy.LegacyChange, ...]
    left: tuple[Problem, ...]


def new_name(path: Path) -> Path:
    """plotman.yaml -> plotman.v2.yaml, in the same folder."""
    return path.with_name(f"{path.stem}.v2{path.suffix or '.yaml'}")


def migrate(path: Path) -> Migration | None:
    """Write `path`, of plotman 0.3 or 0.4, in the form of version [2] beside it. Its values are kept, its
    comments are not. None: it is no older file, nothing to do.

    Raises ConfigError if it cannot be read, PlotmanError if the new file exists already.
    """
    reading = read(path)
    data = reading.document.data
    if not isinstance(data, dict):
        raise ConfigError("\n".join(map(str, reading.problems)))
    if not legacy.is_old(data):
        return None
    new, changes = legacy.migrated(data)
    target = new_name(path)
    text = yaml.safe_dump(new, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)
    write(target, f"# Written by `plotman config migrate` from {path.name}.\n{text}")
    return Migration(target, tuple(changes), tuple(find_problems(target)))


def write(path: Path, text: str, overwrite: bool = False) -> None:
    """Write a configuration file, for its owner's eyes only: it may hold the broker's password.

    Raises PlotmanError if it exists already (unless `overwrite`) or cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if overwrite else os.O_EXCL)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise PlotmanError(f"{path} exists already.", "Move it away, or name another.") from error
    except OSError as error:
        raise PlotmanError(f"{path} cannot be written: {error.strerror}.") from error
