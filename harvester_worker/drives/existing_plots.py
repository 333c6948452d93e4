"""Finds plots by their ids: a plot to come may be on a drive already, also under another name."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.errors import PlotRefused, TransferFailed
from common.model.plot_name import PlotName, plot_id_of
from common.system.openfile import is_open_for_writing
from common.system.plotfile import NotAPlot, read_header
from common.system.probe import Hanging, Probe
from harvester_worker.drives import digests

# Answers of a drive that cannot be read.
UNREAD = (OSError, Hanging)


@dataclass(frozen=True, slots=True)
class ExistingPlot:
    """A file with the plot's id, size and header. ours: this harvester took it in, and it is unchanged
    since; of any other file only the content can prove that it is the plot."""

    path: Path
    ours: bool


# By drive, the file that may be the plot; None: there is none; the error: the drive cannot be read, or has
# another file of this name or id.
Copies = Mapping[str, ExistingPlot | PlotRefused | TransferFailed | OSError | Hanging | None]


def find_copies(
    probe: Probe, drives: Sequence[str], name: PlotName, size_bytes: int, deadline_s: float
) -> Copies:
    """Look for the plot on these drives at the same time.

    Args:
        deadline_s: Seconds until a drive counts as hanging.
    """
    return probe.run_all(drives, partial(_copy_or_error, name, size_bytes), deadline_s)


def best_copy(copies: Copies) -> tuple[str, ExistingPlot] | None:
    """The drive that has the plot, and the file; a file that this harvester took in comes first.

    Raises the TransferFailed or PlotRefused of a drive with another file of this name, if no drive has the
    plot for certain.
    """
    found = {drive: answer for drive, answer in copies.items() if isinstance(answer, ExistingPlot)}
    for drive, one in found.items():
        if one.ours:
            return drive, one
    for answer in copies.values():
        if isinstance(answer, PlotRefused | TransferFailed):
            raise answer
    return next(iter(found.items()), None)


def why_unread(error: OSError | Hanging) -> str:
    """Predicate for messages about a drive: `does not answer`."""
    return "does not answer" if isinstance(error, Hanging) else f"cannot be read: {error.strerror or error}"


def existing_plot(name: PlotName, size_bytes: int, drive: str) -> ExistingPlot | None:
    """The file of this plot on this drive, whatever its date in the name, if size and header fit; one that
    this harvester took in comes first. None if there is none.

    Raises:
        TransferFailed: It is open for writing.
        PlotRefused: It is another file.
        OSError: The drive cannot be read.
    """
    found: list[ExistingPlot] = []
    errors: list[PlotRefused | TransferFailed] = []
    for path in _files_of(name.plot_id, drive):
        try:
            if _is_copy(path, name, size_bytes):
                found.append(ExistingPlot(path, digests.admitted(drive, path.name) is not None))
        except (PlotRefused, TransferFailed) as error:
            errors.append(error)
    found.sort(key=lambda one: (not one.ours, one.path.name != name.name))
    if errors and not (found and found[0].ours):
        raise errors[0]
    return found[0] if found else None


def admitted_file(plot_id: str, drive: str) -> Path | None:
    """The file of this plot that this harvester took in on this drive. Raises OSError."""
    files = _files_of(plot_id, drive)
    return next((path for path in files if digests.admitted(drive, path.name) is not None), None)


def _files_of(plot_id: str, drive: str) -> list[Path]:
    """The files on a drive whose names have this plot id. Raises OSError."""
    with os.scandir(drive) as entries:
        names = [entry.name for entry in entries if plot_id in entry.name.lower()]
    return [Path(drive) / name for name in names if plot_id_of(name) == plot_id]


def _is_copy(path: Path, name: PlotName, size_bytes: int) -> bool:
    """Whether size and header of the file fit the plot. False if it is no file of this plot, and not in its
    way. Raises as existing_plot does."""
    in_its_way = path.name == name.name
    try:
        found_bytes = path.lstat().st_size
        if is_open_for_writing(path):
            raise TransferFailed(f"{path} is being written by another program.", "Wait until that has ended.")
        header = read_header(path)
    except FileNotFoundError:
        return False
    except NotAPlot as error:
        if not in_its_way:
            return False
        raise other_file(path, error.what) from error
    if header.plot_id not in (None, name.plot_id) and not in_its_way:
        return False
    if found_bytes != size_bytes or header.plot_id not in (None, name.plot_id):
        raise other_file(path, f"It has {found_bytes} bytes, the plot to come {size_bytes}.")
    return True


def plots_with_ids(plot_ids: Collection[str], drive: str) -> list[tuple[str, str]] | OSError:
    """(plot id, path) of the plots with these ids on a drive, by name and header; the error if the drive
    cannot be read."""
    found = []
    try:
        with os.scandir(drive) as entries:
            named = [name for entry in entries if (name := PlotName.parse(entry.name))]
    except OSError as error:
        return error
    for name in named:
        if name.plot_id in plot_ids:
            with contextlib.suppress(OSError, NotAPlot):
                if read_header(Path(drive) / name.name).plot_id in (None, name.plot_id):
                    found.append((name.plot_id, str(Path(drive) / name.name)))
    return found


def _copy_or_error(
    name: PlotName, size_bytes: int, drive: str
) -> ExistingPlot | PlotRefused | TransferFailed | OSError | None:
    """As existing_plot, with errors as answers: one unreadable drive must not hide the others."""
    try:
        return existing_plot(name, size_bytes, drive)
    except (OSError, PlotRefused, TransferFailed) as error:
        return error


def same_file(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except FileNotFoundError:
        return False


def other_file(path: Path, detail: str) -> PlotRefused:
    """The refusal if another file has the plot's name on a drive. detail: a sentence about it."""
    return PlotRefused(
        f"{path} exists and is not the plot that is to come. {detail}",
        "The source is kept. Check both files (`chia plots check`), and move the bad one out of the way. "
        "If that is the one on the drive: `plotman resend` sends the source again.",
    )
