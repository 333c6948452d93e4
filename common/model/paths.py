"""One spelling for each path."""

from __future__ import annotations

import os.path
from pathlib import PurePosixPath


def one_spelling(path: str) -> str:
    """Spell a folder in the only way: `~` expanded, no trailing or doubled slashes.

    Keeps `..`: behind a symbolic link it does not cancel the name before it. 0.5.3 took `/tmp/a` and
    `/tmp/a/` for two folders. Raises ValueError for an empty path.
    """
    if not path.strip():
        raise ValueError("is empty")
    clean = str(PurePosixPath(os.path.expanduser(path)))  # noqa: PTH111  Path.expanduser raises without a home
    # POSIX lets exactly two leading slashes mean something else, and pathlib keeps them. Linux does not.
    return "/" + clean.lstrip("/") if clean.startswith("//") else clean
