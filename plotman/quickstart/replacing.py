"""`quickstart --replot`: plots of the new proof of space take the place of the old ones, one by one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from common import names
from common.config.sections.base import MOST_BYTES
from common.errors import PlotmanError
from common.history.rows import End, HistoryKind, Row
from common.model.replot_report import ReplotReport, ReplotState
from common.model.units import counted, human_bytes
from plotman.control.farm import FarmState
from plotman.control.queries.history import gather
from plotman.control.queries.tables import PlainTable
from plotman.control.rpc import TaskCall, ask_each
from plotman.quickstart.settings import OLD, Layout
from plotman.quickstart.watch import Watch

NEW_K = 20  # 2.6 MB, made in a second
_WAITING_MOST = 2  # new plots in dst, so that nobody waits for one
_MAKE_S = 300.0
_ANSWER_S = 30.0


class Replaced(NamedTuple):
    """table: a row for each drive, what lay there before and what lies there now. sentence: the sums."""

    table: PlainTable
    sentence: str


def replace_old_plots(watch: Watch, layout: Layout, k: int) -> Replaced:
    """Order the harvester to replace all old plots, and make new ones until it has.

    Args:
        watch: shows the farm meanwhile.
        layout: of the farm.
        k: size of the old plots.

    Raises:
        PlotmanError: the harvester refuses or stops, a new plot cannot be made, or an old one went too early.
    """
    before = {drive: _plots(drive, ".plot") for drive in layout.drives}
    replacing = _Replacing(layout, k)
    watch.until(replacing.step)
    must_have_come_first(gather(HistoryKind.LANDINGS, since=replacing.since).rows)
    after = {drive: _plots(drive, ".gplot") for drive in layout.drives}
    rows = tuple(
        (
            "/".join(drive.parts[-2:]),
            *(text for some in (before[drive], after[drive]) for text in (str(len(some)), _sum(some))),
            str(len(_plots(drive, ".plot"))),
        )
        for drive in layout.drives
    )
    columns = ("drive", "old plots", "size", "new plots", "new size", "old ones left")
    old, new = ([size for sizes in some.values() for size in sizes] for some in (before, after))
    return Replaced(
        PlainTable(columns, rows, right=frozenset(columns[1:])),
        f"{counted(len(old), 'old plot')} made room for {len(new)} new ones ({_sum(old)} for {_sum(new)}). "
        "By the history, each went only after new plots of as many bytes had come.",
    )


def must_have_come_first(rows: Sequence[Row]) -> None:
    """Raise PlotmanError unless, whenever an old plot went, as many bytes of new ones had come.

    rows: of the harvester's history, since the order. A new plot came when its file got its name, which is
    the file's last change; its row is written a little later.
    """
    new = [Path(row.path) for row in rows if row.end is End.LANDED and row.path and Path(row.path).exists()]
    came = [(found.st_ctime, found.st_size) for found in (path.stat() for path in new)]
    went = [(row.ended_at.timestamp(), row.size_bytes or 0) for row in rows if row.end is End.REPLACED]
    for now_s, _ in went:
        old_bytes, new_bytes = (sum(size for at_s, size in some if at_s <= now_s) for some in (went, came))
        if new_bytes < old_bytes:
            raise PlotmanError(
                f"Old plots of {human_bytes(old_bytes)} went when {human_bytes(new_bytes)} of new ones "
                "had come.",
                "This is an error of plotman: report it, with the output of `plotman history --landings`.",
            )


class _Replacing:
    """k: size of the old plots. since: of the order, once it is known."""

    def __init__(self, layout: Layout, k: int) -> None:
        self._layout = layout
        self._k = k
        self._ordered = False
        self.since: datetime | None = None

    def step(self, farm: FarmState) -> str | None:
        """Make a new plot if few wait; the first line of the picture, None at the end."""
        harvester = next(iter(farm.harvesters.values()), None)
        if harvester is None:
            return "The harvester starts ..."
        if not self._ordered:
            # The drives are folders of a disk that never is full: it counts as if it were.
            order = {"classes": [{"name": OLD, "k": self._k, "levels": [0]}], "low_water_bytes": MOST_BYTES}
            (answer,) = ask_each([TaskCall(names.REPLOT, harvester.host, order)], timeout_s=_ANSWER_S)
            if isinstance(answer, PlotmanError):
                raise answer
            self._ordered = True
        report = harvester.replot_report
        if report is None:
            return "The order is on its way ..."
        self.since = report.since
        if report.state is ReplotState.STOPPED:
            raise PlotmanError(f"The harvester replaces no more plots: {report.why}", "See its log.")
        if report.state is ReplotState.DONE and not self._waiting():
            return None
        if report.state is not ReplotState.DONE and self._waiting() < _WAITING_MOST:
            self._make()
        return _head(report)

    def _waiting(self) -> int:
        return sum(len(_plots(folder, ".gplot")) for folder in self._layout.dst)

    def _make(self) -> None:
        folder = min(self._layout.dst, key=lambda folder: len(_plots(folder, ".gplot")))
        argv = (sys.executable, "-P", "-m", "plotman.quickstart.new_plots", str(folder), str(NEW_K), "1")
        try:
            subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=_MAKE_S
            )
        except (OSError, subprocess.SubprocessError) as error:
            output = str(getattr(error, "stderr", None) or error)
            raise PlotmanError(
                f"A new plot cannot be made: {output.strip()[-500:]}", "Check the disk."
            ) from error


def _head(report: ReplotReport) -> str:
    left = sum(one.left_plots or 0 for one in report.classes)
    old = f"{report.deleted_plots} of {counted(report.deleted_plots + left, 'old plot')} replaced"
    new = f"{counted(report.new_plots, 'new plot')} ({human_bytes(report.new_bytes)}) proved"
    return f"{old}; {new}. {report.why}"


def _sum(sizes_bytes: list[int]) -> str:
    return human_bytes(sum(sizes_bytes))


def _plots(folder: Path, suffix: str) -> list[int]:
    """Bytes of the plots in a folder."""
    return [path.stat().st_size for path in folder.iterdir() if path.suffix == suffix]
