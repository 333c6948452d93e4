"""Which files of a directory are a job's unfinished ones, by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from plotter_worker.plotters.base import OwnFiles

_PLOT_ID = re.compile(r"[0-9a-f]{64}\Z")


def own_files(
    names: Iterable[str], plot_id: str | None, anonymous: re.Pattern[str] | None = None
) -> OwnFiles:
    """Sort the names of a directory.

    All plotters put the plot id into the name of each unfinished file and end it in `.tmp`, except for
    scratch files that fit `anonymous`. A plot under its final name (`.plot`) is nobody's scratch: in a tmp
    directory it is a finished plot on its way to dst.

    plot_id: None, or not 64 hexadecimal digits: nothing is certain.
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
