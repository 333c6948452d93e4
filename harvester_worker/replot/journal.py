"""What a restart must not forget of the replacing of old plots: the order, what counts, the plot in work.

Every change is durable before its method returns. Where the file cannot be read, nothing is deleted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from common.errors import OrderRefused
from common.model.replot_order import ReplotOrder
from common.system import statefile


class Kept(BaseModel):
    """Base of what is in the file. Of another release, that may limit more, nothing is guessed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Credit(Kept):
    """A new plot that arrived and was proved.

    inode, size_bytes: of its file. left_bytes: for which no old plot has gone.
    """

    plot_id: str
    drive: str
    name: str
    inode: int
    size_bytes: int
    left_bytes: int


class VictimStep(StrEnum):
    """How far the deletion of a plot is. Only after DELETING is durable may the file be unlinked."""

    CHOSEN = "chosen"
    DELETING = "deleting"


class Victim(Kept):
    """An old plot that is being deleted. uses: bytes of new plots that it goes for, by plot id."""

    drive: str
    name: str
    class_name: str
    plot_id: str | None
    size_bytes: int
    inode: int
    mtime_ns: int
    uses: dict[str, int]
    step: VictimStep = VictimStep.CHOSEN


class Deleted(Kept):
    """Old plots of one class that were deleted. plots: by drive."""

    plots: dict[str, int] = Field({})
    bytes: int = 0


class Journal(Kept):
    """The file.

    since: of the order. paused: why an operator paused it, or an empty text; None: it is not paused.
    done: no plot of the classes was left.
    new_plots, new_bytes, largest_bytes: that arrived and were proved since then.
    credits: of these, those that were not used up.
    arrived: beginnings of the ids of all plots that arrived since then. None of them is an old plot.
    deleted: by name of the class.
    day, day_plots: how many were deleted on the last day on which one was (UTC).
    refused: why the last plot that arrived on a drive was refused, by drive.
    """

    order: ReplotOrder | None = None
    since: AwareDatetime | None = None
    paused: str | None = None
    done: bool = False
    new_plots: int = 0
    new_bytes: int = 0
    largest_bytes: int = 0
    credits: tuple[Credit, ...] = ()
    arrived: frozenset[str] = frozenset()
    deleted: dict[str, Deleted] = Field({})
    day: date | None = None
    day_plots: int = 0
    victim: Victim | None = None
    refused: dict[str, str] = Field({})

    @property
    def deleted_bytes(self) -> int:
        return sum(one.bytes for one in self.deleted.values())

    @property
    def deleted_plots(self) -> int:
        return sum(sum(one.plots.values()) for one in self.deleted.values())

    def deleted_on(self, day: date) -> int:
        """How many old plots were deleted on a day."""
        return self.day_plots if self.day == day else 0

    def ordered(self, order: ReplotOrder, now: datetime) -> Journal:
        """With this order. What was counted stays if its classes are the same but for their dates."""
        if self.order is not None and _criteria(self.order) == _criteria(order):
            return self.model_copy(update={"order": order, "paused": None, "done": False, "refused": {}})
        return Journal(order=order, since=now, day=self.day, day_plots=self.day_plots, victim=self.victim)

    def stopped(self) -> Journal:
        """Without an order. What was deleted today still counts for the next one."""
        return Journal(day=self.day, day_plots=self.day_plots, victim=self.victim)


def _criteria(order: ReplotOrder) -> list[object]:
    return [one.old for one in order.classes]


class JournalFile:
    """The journal in its file. For several threads.

    trouble: why it cannot be read, and what to do; None: all is well.
    """

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / "replot.json"
        self._lock = threading.Lock()
        found = statefile.read(self._file, Journal)
        self.trouble = (
            f"{self._file} cannot be read, so nothing is deleted. Look at it, remove it, and begin anew"
            if found is None and self._file.exists()
            else None
        )
        self.now = found or Journal()

    def change(self, changed: Callable[[Journal], Journal]) -> Journal:
        """Change the journal durably.

        Args:
            changed: makes the new journal of the present one; may raise, and nothing changes then.

        Raises:
            OrderRefused: the file cannot be read.
            OSError: it cannot be written, and nothing has changed.
        """
        with self._lock:
            if self.trouble is not None:
                raise OrderRefused(f"{self.trouble}.", "Restart the harvester's worker afterwards.")
            made = changed(self.now)
            if made is not self.now:
                statefile.private_folder(self._file.parent)
                statefile.write(self._file, made)
                self.now = made
            return made


def now_utc() -> datetime:
    return datetime.now(UTC)
