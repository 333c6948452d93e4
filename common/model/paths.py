"""One spelling for each path."""

from __future__ import annotations

import os.path
from pathlib import PurePosixPath


def one_spelling(path: str) -> str:
    """Normalize a path: `~` expanded, no trailing or doubled slashes.

    Keeps `..`, which after a symbolic link does not cancel the name before it. plotman 0.5.3 took `/tmp/a`
    and `/tmp/a/` for two folders. Raises ValueError for an empty path.
    """
    if not path.strip():
        raise ValueError("is empty")
    clean = str(PurePosixPath(os.path.expanduser(path)))  # noqa: PTH111  Path.expanduser raises without a home
    # pathlib keeps two leading slashes, to which POSIX allows a meaning of their own. Linux gives them none.
    return "/" + clean.lstrip("/") if clean.startswith("//") else clean
