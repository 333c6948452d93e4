"""`plotman config migrate`: converts the file of an older plotman into a new file beside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from common.config import legacy, user_folder
from common.config.loader import find_problems, read
from common.config.problems import Finding, Problem
from common.errors import ConfigError, PlotmanError


@dataclass(frozen=True)
class Migration:
    """A migration. written: the new file. left: problems in it to correct by hand."""

    written: Path
    changes: tuple[Finding, ...]
    left: tuple[Problem, ...]


def new_name(path: Path) -> Path:
    """NAME.yaml -> NAME.v2.yaml, in the same folder."""
    return path.with_name(f"{path.stem}.v2{path.suffix or '.yaml'}")


def migrate(path: Path) -> Migration | None:
    """Convert the file `path` of plotman 0.3 or 0.4 into version [2]. Keeps values, but no comments. Returns
    None for a file of version [2].

    Raises:
        ConfigError: it cannot be read.
        PlotmanError: the new file exists already.
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
    """Write a configuration file that only its owner may read: it may contain the broker's password. Creates
    no folder but plotman's own among the user's configurations: another one is a typing error.

    Raises PlotmanError if it exists already (unless `overwrite`) or cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if overwrite else os.O_EXCL)
    try:
        if path.absolute().parent == user_folder():
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not path.parent.is_dir():
            raise PlotmanError(f"{path.parent} is no folder.", "Create it, or choose another one.")
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise PlotmanError(f"{path} exists already.", "Move it, or choose another name.") from error
    except OSError as error:
        raise PlotmanError(f"{path} cannot be written: {error.strerror}.") from error
