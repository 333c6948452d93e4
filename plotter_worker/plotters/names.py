"""Names of plots and scratch files, and one spelling for each path."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from plotter_worker.plotters.base import OwnFiles

# The id in a plot's file name. chia, chiapos and madMAx: `plot-k32-2026-11-22-11-28-<64 hex>`; with a level
# of compression bladebit writes `plot-k32-c07-...`, Gigahorse `plot-k32-c7-...` and `plot-mmx-k34-c1-...`.
PLOT_NAME = re.compile(
    r"plot-(?:mmx-)?k(?P<k>\d{1,2})-(?:c(?P<level>\d{1,2})-)?"
    r"(?P<date>\d{4}(?:-\d\d){4})-(?P<id>[0-9a-f]{64})"
)
_PLOT_ID = re.compile(r"[0-9a-f]{64}\Z")


def own_files(
    names: Iterable[str], plot_id: str | None, anonymous: re.Pattern[str] | None = None
) -> OwnFiles:
    """Select the unfinished files of a job from the names of a directory.

    Every plotter puts the plot id into the name of each unfinished file and ends it in `.tmp`, except for
    scratch files that match `anonymous`. A final name (`.plot`) never counts: in a tmp directory it is a
    finished plot that waits for its copy to dst.

    Args:
        names: File names without directories.
        plot_id: If None, or not 64 hexadecimal digits, no file is certain.
        anonymous: Scratch names of this plotter that carry no plot id.
    """
    known = plot_id if plot_id and _PLOT_ID.match(plot_id) else None
    certain: list[str] = []
    by_directory: list[str] = []
    for name in names:
        if known and known in name and name.startswith("plot-") and name.endswith(".tmp"):
            certain.append(name)
        elif anonymous and anonymous.match(name):
            by_directory.append(name)
    return OwnFiles(tuple(certain), tuple(by_directory))


def normal(path: str | None, cwd: str | None) -> str | None:
    """Make a path absolute, without trailing slash, `..` or doubled slashes; links are not followed.

    None for an absent path, for memory (`@RAM`, `@HOST`), and for a relative path without a cwd.
    """
    if not path or path.startswith("@") or "\0" in path:
        return None
    if not path.startswith("/"):
        if not cwd:
            return None
        path = f"{cwd}/{path}"
    # normpath keeps two leading slashes, as POSIX demands; no plotter means anything by them.
    return "/" + os.path.normpath(path).lstrip("/")


def parent(path: str) -> str:
    """Directory of a normal path."""
    return str(PurePosixPath(path).parent)
