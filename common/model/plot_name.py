"""File names of finished plots, and how users name a plot anywhere in the farm. Pure.

A running plot: by the start of its id, by HOST:PID while it has none, or by the id of its task, as Flower
shows it. A finished plot: by its path, its file name or the start of its id.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath

SUFFIXES = (".plot", ".plot2", ".gplot")
# Suffixes that users take for plots: also DrPlotter's. Some file systems have no lower case.
_ALIKE = (*SUFFIXES, ".drplot")

_LONGEST_NAME = 255  # NAME_MAX of Linux

# chia and madMAx write plot-k32-DATE-ID.plot; bladebit -k32-c07-, Gigahorse -k32-c7- and plot-mmx-;
# chia's create_v2_plots plot-k28-ID.plot2, xchplot2 plot-k28-ID.gplot with the id of a plot group.
_BEFORE_ID = (
    r"plot-(?:mmx-(?:[a-z]+-)?)?k(?P<k>\d{1,2})-(?:c(?P<c>\d{1,2})-)?(?:\d{4}-\d{2}-\d{2}-\d{2}-\d{2}-)?"
)
_NAME = re.compile(_BEFORE_ID + r"(?P<id>[0-9a-fA-F]{64})\.(?:plot2?|gplot)\Z")
_IN_TEXT = re.compile(
    r"should be called \S+|"
    rf"(?:{_BEFORE_ID})?(?<![0-9a-fA-F])(?P<short>[0-9a-fA-F]{{8}})[0-9a-fA-F]{{56}}(?![0-9a-fA-F])"
    r"(?:\.(?:plot2?|gplot)\b)?"
)


@dataclass(frozen=True, slots=True)
class PlotName:
    """The parts of a plot's file name.

    plot_id: 64 hex digits, lower case; of a plot group (.gplot) the id of the group.
    compression: level; 0 if the name has none.
    """

    name: str
    k: int
    plot_id: str
    compression: int

    @classmethod
    def parse(cls, name: str) -> PlotName | None:
        """Parse a file name without directories. None if it is not the name of a finished plot."""
        match = _NAME.match(name)
        if not match:
            return None
        return cls(name, int(match["k"]), match["id"].lower(), int(match["c"] or 0))


def is_alike(name: str) -> bool:
    """Whether a user would take a file of this name for a plot."""
    return name.lower().endswith(_ALIKE)


def plot_id_of(path: str) -> str | None:
    """The plot id in the file name of `path`; None if it is not the name of a plot."""
    name = path.rpartition("/")[2]
    return _plot_id_of(name) if len(name) <= _LONGEST_NAME else None


@lru_cache(1 << 16)  # beat asks in each round for each plot
def _plot_id_of(name: str) -> str | None:
    parsed = PlotName.parse(name)
    return parsed.plot_id if parsed else None


def with_short_ids(text: str) -> str:
    """Replace each plot's file name, and each 64-digit id, by the first 8 digits of the id. The name that a
    file should be called stays: operators paste it."""
    return _IN_TEXT.sub(lambda found: found["short"].lower() if found["short"] else found[0], text)


_PART_IN_TEXT = re.compile(r"(?<![0-9a-fA-F])([0-9a-f]{8})[0-9a-f]{56}(?=\.part\b)")


def with_short_parts(text: str) -> str:
    """Shorten the names of part files, which no operator needs, to `6b4e7375….part`; paths of plots stay."""
    return _PART_IN_TEXT.sub(r"\1…", text)


EVERY = "all"
# Task ids are hexadecimal as well: shorter ones are taken for plot ids only.
_TASK_ID_DIGITS = 8


def fits(selector: str, host: str, pid: int, task_id: str, plot_id: str | None) -> bool:
    """Whether `selector` may mean this running plot; several plots may fit. plot_id: None while it has
    none."""
    text = selector.strip().lower()
    if not text:
        return False
    if plot_id is not None and plot_id.startswith(text):
        return True
    if text == f"{host.lower()}:{pid}":
        return True
    return len(text) >= _TASK_ID_DIGITS and task_id.startswith(text)


def is_selector_of_file(text: str) -> bool:
    """Whether `text` looks like a finished plot: its path, its file name, or 6 or more digits of its id."""
    return text.endswith(SUFFIXES) or re.fullmatch(r"[0-9a-fA-F]{6,64}", text) is not None


def fits_file(selector: str, path: str) -> bool:
    """Whether `selector` may mean the finished plot in the file `path`; several plots may fit."""
    text, file_name = selector.strip(), PurePath(path).name
    if not text:
        return False
    name = PlotName.parse(file_name)
    return text in (path, file_name) or (name is not None and name.plot_id.startswith(text.lower()))
