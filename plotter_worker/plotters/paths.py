"""One spelling for each path, as plotters print them and are given them."""

from __future__ import annotations

import os.path
import re
from pathlib import PurePosixPath

# The id in a plot's file name. chia, chiapos and madMAx: `plot-k32-2026-11-22-11-28-<64 hex>`; with a level
# of compression bladebit writes `plot-k32-c07-...`, Gigahorse `plot-k32-c7-...` and `plot-mmx-k34-c1-...`.
PLOT_NAME = re.compile(
    r"plot-(?:mmx-)?k(?P<k>\d{1,2})-(?:c(?P<level>\d{1,2})-)?"
    r"(?P<date>\d{4}(?:-\d\d){4})-(?P<id>[0-9a-f]{64})"
)


def normal(path: str | None, cwd: str | None) -> str | None:
    """Absolute, without trailing slash, `..` or doubled slashes; links are not followed.

    None for no path, for what is none (`@RAM`, `@HOST`), and for a relative one without a cwd.
    """
    if not path or path.startswith("@") or "\0" in path:
        return None
    if not path.startswith("/"):
        if not cwd:
            return None
        path = f"{cwd}/{path}"
    # normpath keeps two leading slashes, as POSIX wants it; nobody means them.
    return "/" + os.path.normpath(path).lstrip("/")


def parent(path: str) -> str:
    """Directory of a normal path."""
    return str(PurePosixPath(path).parent)
