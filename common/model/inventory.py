"""What a harvester answers about the files on its drives: the order, and rows of its pages."""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from common.model.bounds import Otherwise
from common.model.figures import Notice, Whole
from common.model.messages import Message, OneLine
from common.model.plot_class import ClassSum, Month, PlotClass

MOST_ROWS = 1_000  # of a page; less than 1 MB of JSON
MOST_CLASSES = 256  # of an order; a farmer has less than ten
KEY_BITS = 48
# Of a slice. A slice is chosen so that it has half as many.
MOST_KEYS = 60_000
Key = Annotated[int, Field(ge=0, lt=1 << KEY_BITS)]
_MonthOrNone = Annotated[Month | None, Otherwise(None)]


def key_of(plot_id: bytes, meta_group: int) -> int:
    """A short number that is equal for equal plots, and for hardly any others: of two million different plots
    two have the same key in one farm of a hundred.

    Args:
        plot_id: of the plot, or of the group of plots.
        meta_group: of a group; 0 of a plot.
    """
    digest = hashlib.sha256(plot_id + meta_group.to_bytes(8, "big")).digest()
    return int.from_bytes(digest[: KEY_BITS // 8], "big")


class InventoryPage(StrEnum):
    """What is asked for."""

    SUMS = "sums"  # plots and bytes by drive, class and month
    FILES = "files"  # the files with plots, by drive and name
    FAULTS = "faults"  # files that look like plots and are no whole plots
    KEYS = "keys"  # short keys of all plots in a slice of them: equal keys may be the same plot
    COPIES = "copies"  # the files with these keys
    CLASSED = "classed"  # the first files of these classes on each drive, by name
    FARMED = "farmed"  # whether chia's harvester on this machine farms the plots; asks it


class InventoryOrder(Message):
    """Arguments of `harvester_worker.inventory`.

    drive: only this one.
    limit: rows of a page; of CLASSED: files of each drive.
    after: `next` of the previous page of SUMS, FILES, FAULTS or CLASSED; None: the first page.
    begin, end: slice of KEYS, without `end`.
    keys: of COPIES.
    classes, made_before: of CLASSED; a month: only plots that were made earlier; None: all.
    """

    host: OneLine
    what: InventoryPage = InventoryPage.SUMS
    drive: OneLine | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = MOST_ROWS
    after: OneLine | None = None
    begin: Key = 0
    end: Annotated[int, Field(ge=0, le=1 << KEY_BITS)] = 1 << KEY_BITS
    keys: Annotated[tuple[Key, ...], Field(max_length=MOST_ROWS)] = ()
    classes: Annotated[tuple[PlotClass, ...], Field(max_length=MOST_CLASSES)] = ()
    made_before: Month | None = None


class SumRow(ClassSum):
    """Plots of one class that were made in one month, on one drive. month: None: not known."""

    drive: str
    month: _MonthOrNone = None


class FileRow(Notice):
    """A file on a drive.

    plot_id: of its header, hex; of a group of plots the id of the group.
    meta_group: of a group: plots of one group id are the same only in the same meta group.
    plots: how many plots it has; 0: it is no whole plot.
    reason: why it is none, or why no released software farms it; None: all is well.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    drive: str
    name: str
    size_bytes: Whole
    made: _MonthOrNone = None
    plot_id: Annotated[
        str | None,
        AfterValidator(lambda text: text if text and re.fullmatch(r"[0-9a-f]{64}", text) else None),
    ] = None
    meta_group: Whole = 0
    plots: Whole = 0
    plot_class: PlotClass | None = None
    reason: str | None = None


class FarmedRow(Notice):
    """Whether chia farms the plots of a drive.

    searched: whether chia searches the drive.
    files: with plots. farmed: files that chia has opened. failed: files that it cannot open.
    """

    drive: str
    searched: bool
    files: Whole = 0
    farmed: Whole = 0
    failed: Whole = 0


class DriveRow(Notice):
    """How far the inventory of a drive is.

    state: as in the snapshot; the plots of a drive that cannot be read now do not count.
    listed, read: files that were found, and how many of them were read so far.
    left_out: files beyond the most that are kept of a drive.
    """

    drive: str
    state: str
    counts: bool
    plots: Whole = 0
    files: Whole = 0
    bytes: Whole = 0
    faults: Whole = 0
    fault_bytes: Whole = 0
    listed: Whole = 0
    read: Whole = 0
    left_out: Whole = 0
