"""Looks for a plot under its farmed name: it may be on a drive already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from common.errors import PlotRefused, TransferFailed
from common.openfile import is_open_for_writing
from common.plotfile import NotAPlot, PlotName, read_header
from common.probe import Hanging, Probe

# What a drive answers that could not be read.
UNREAD = (OSError, Hanging)

Answers = Mapping[str, Path | OSError | Hanging | None]


def looked_for(
    probe: Probe, drives: Sequence[str], name: PlotName, size_bytes: int, deadline_s: float
) -> Answers:
    """By drive, where the plot is on it; None where it is not, the error of a drive that did not tell.
    Raises as landed_at."""
    return probe.run_all(drives, partial(_landed_or_error, name, size_bytes), deadline_s)


def why_unread(error: OSError | Hanging) -> str:
    """For people, of a drive: `does not answer`."""
    return "does not answer" if isinstance(error, Hanging) else f"cannot be read: {error.strerror or error}"


def landed_at(name: PlotName, size_bytes: int, drive: str) -> Path | None:
    """The plot under its farmed name on this drive, as far as size and header tell; None where it is not.

    Raises TransferFailed while somebody still writes it, PlotRefused where it is another file.
    """
    path = Path(drive) / name.name
    try:
        found_bytes = path.lstat().st_size
        if is_open_for_writing(path):
            raise TransferFailed(f"{path} is being written by somebody else.", "Let that end.")
        header = read_header(path)
    except FileNotFoundError:
        return None
    except NotAPlot as error:
        raise _other_file(path, error.what) from error
    if found_bytes != size_bytes or header.plot_id not in (None, name.plot_id):
        raise _other_file(path, f"It has {found_bytes} bytes, the plot to come {size_bytes}.")
    return path


def _landed_or_error(name: PlotName, size_bytes: int, drive: str) -> Path | OSError | None:
    """As landed_at; a drive that cannot be read keeps nobody from the others."""
    try:
        return landed_at(name, size_bytes, drive)
    except OSError as error:
        return error


def same_file(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except FileNotFoundError:
        return False


def _other_file(path: Path, detail: str) -> PlotRefused:
    return PlotRefused(
        f"{path} exists and is not the plot that is to come. {detail}",
        "Look which of the two is whole (chia plots check), and delete the other.",
    )
