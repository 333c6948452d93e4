"""The state of a file that is named like a plot, and the name that a plot should have."""

from __future__ import annotations

import os
import stat
from datetime import datetime
from pathlib import Path

from common.model.plot_name import PlotName
from common.model.snapshot import PlotState
from common.model.text import without_controls
from common.system.openfile import is_open_for_writing
from common.system.plotfile.header import Header, NotAPlot
from common.system.plotfile.registry import judge_data, judge_length, read_header
from common.system.plotfile.wholeness import Verdict, Wholeness

# If the header does not give the size, a file counts as complete after this time without a change; the longer
# time applies if the kernel cannot say whether it is open for writing.
QUIET_S = 10.0
UNSEEN_QUIET_S = 300.0


def classify(path: str | Path, now: datetime) -> tuple[PlotState, str | None, PlotName | None, int]:
    """Classify a file that is named like a plot. Reads some of it (see `whole`), which may hang with its
    drive: call it through common.system.probe, and again only after the file has changed, or while it is
    OPEN.

    Returns:
        Its state, why it is not ready, its name, its size in bytes. The name of a misnamed plot is the one
        that fits its header; None: unknown.

    Raises:
        OSError: It does not exist or is unreadable.
    """
    path = Path(path)
    name = PlotName.parse(path.name)
    status = path.lstat()
    size_bytes = status.st_size
    if stat.S_ISLNK(status.st_mode):
        return PlotState.FOREIGN, f"a link to {printable(os.readlink(path))}", name, size_bytes  # noqa: PTH115
    if not stat.S_ISREG(status.st_mode):
        return PlotState.FOREIGN, "not a regular file", name, size_bytes
    writing = is_open_for_writing(path)
    if writing:
        return PlotState.OPEN, "it is still being written", name, size_bytes
    try:
        header = read_header(path)
    except NotAPlot as error:
        is_short = error.short and name is not None
        return PlotState.TRUNCATED if is_short else PlotState.FOREIGN, error.what, name, size_bytes
    if not header.is_product:
        return (
            PlotState.FOREIGN,
            f"a plot (format {header.format}) that is not farmed: {header.unfarmable}",
            name,
            size_bytes,
        )
    length = judge_length(path, header)
    if length.verdict is Verdict.TRUNCATED:
        return PlotState.TRUNCATED, length.reason, name, size_bytes
    if name is None or not fits_name(header, name):
        right = right_name(header, status.st_mtime)
        return PlotState.MISNAMED, _misnamed(header, right), right, size_bytes
    state, reason = _judge(path, header, length, writing, now.timestamp() - status.st_mtime)
    return state, reason, name, size_bytes


_MADE_LATEST_S = 1 << 32  # a file system may give years that no calendar has


def right_name(header: Header, made_s: float) -> PlotName | None:
    """The name for a plot with this header; None if its id is unknown. made_s: Unix time."""
    if header.plot_id is None or header.k is None:
        return None
    if (suffix := _suffix_of(header)) != ".plot":
        return PlotName.parse(f"plot-k{header.k}-{header.plot_id}{suffix}")
    level = f"c{header.compression:02}-" if header.compression else ""
    made_s = min(max(made_s, 0), _MADE_LATEST_S)
    made = datetime.fromtimestamp(made_s).astimezone()  # as plotters do, by this machine's clock
    return PlotName.parse(f"plot-k{header.k}-{level}{made:%Y-%m-%d-%H-%M}-{header.plot_id}.plot")


def fits_name(header: Header, name: PlotName) -> bool:
    """Whether a plot with this header may have this name: its id, its k, and the suffix by which farmers
    find its format. Unknown fields fit every name."""
    return (
        header.plot_id in (None, name.plot_id)
        and header.k in (None, name.k)
        and (header.plot_id is None or name.name.endswith(_suffix_of(header)))
    )


def _suffix_of(header: Header) -> str:
    """The names of the new proof of space, "pos2" and "PoS2", have no date."""
    return {"pos2": ".plot2", "PoS2": ".gplot"}.get(header.format.partition(" ")[0], ".plot")


def _misnamed(header: Header, right: PlotName | None) -> str:
    if right is None:
        return f"a plot (format {header.format}) that is not named like one"
    return f"this is plot {right.plot_id[:8]} under another name; it should be called {right.name}"


def _judge(
    path: Path, header: Header, length: Wholeness, writing: bool | None, quiet_s: float
) -> tuple[PlotState, str | None]:
    """State of a plot under its right name, and why it is not ready. quiet_s: since its last change."""
    needed_s = UNSEEN_QUIET_S if writing is None else QUIET_S
    if length.verdict is Verdict.UNKNOWN and quiet_s < needed_s:
        return PlotState.OPEN, f"changed {max(0.0, quiet_s):.0f} s ago, waiting for {needed_s:.0f} s"
    if (damaged := judge_data(path, header)) is not None:
        return PlotState.TRUNCATED, damaged.reason
    return PlotState.READY, None


def printable(name: str) -> str:
    """A file name for text and JSON: bytes that are not UTF-8, and control characters, are escaped."""
    return without_controls(os.fsencode(name).decode("utf-8", "backslashreplace"))
