"""What a restart must not forget of the replacing of old plots: the order, what counts, the plot in work.

Every change is durable before its method returns. Where the file cannot be read, nothing is deleted.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from common.errors import OrderRefused
from common.model.replot_order import ReplotOrder
from common.system import statefile
from common.system.filelock import lock_file


class Kept(BaseModel):
    """Base of what is in the file. Another release may limit more: a key that is not known is an error."""

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
    """How far the deletion of a plot is. Its file is unlinked only once DELETING is durable."""

    CHOSEN = "chosen"
    DELETING = "deleting"


class Victim(Kept):
    """An old plot that is being deleted, as the inventory has it.

    uses: bytes of new plots that it goes for, by plot id.
    """

    drive: str
    name: str
    class_name: str
    plot_id: str | None
    size_bytes: int
    inode: int
    mtime_ns: int
    uses: dict[str, int]
    step: VictimStep = VictimStep.CHOSEN

    @property
    def path(self) -> Path:
        return Path(self.drive) / self.name


class Deleted(Kept):
    """Old plots of one class that were deleted."""

    plots: int = 0
    bytes: int = 0


class Journal(Kept):
    """The file. Its changes are in harvester_worker.replot.ledger.

    since: of the order. paused: why an operator paused it, maybe empty; None: it is not paused.
    done: no plot of the classes was left.
    new_plots, new_bytes, largest_bytes: that arrived and were proved since then.
    credits: of these, those that are not used up.
    arrived: beginnings of the ids of all plots that arrived since then. None of them is an old plot.
    deleted: by name of the class.
    day, day_plots: how many were deleted on the last day on which one was (UTC).
    victim: the plot in work. last: the one before it, whose row of the history may be missing.
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
    last: Victim | None = None
    refused: dict[str, str] = Field({})

    @property
    def deleted_bytes(self) -> int:
        return sum(one.bytes for one in self.deleted.values())

    @property
    def deleted_plots(self) -> int:
        return sum(one.plots for one in self.deleted.values())

    def deleted_on(self, day: date) -> int:
        """How many old plots were deleted on a day. A clock that was set back begins no new day."""
        return self.day_plots if self.day is not None and self.day >= day else 0


class JournalFile:
    """The journal in its file. For several threads of one process; no other process may change it meanwhile.

    now: the present journal. trouble: why nothing may be changed, and what to do; None: all is well.
    is_lost: its file cannot be read, so that the next order begins with nothing.
    """

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / "replot.json"
        self._lock = threading.Lock()
        self._fd: int | None = None
        self.now = Journal()
        self.trouble: str | None = "the harvester's worker has not begun"
        self.is_lost = False

    def open(self) -> None:
        """Read the file, unless another process has it. No-op if it is open. Raises OSError."""
        with self._lock:
            if self._fd is not None:
                return
            statefile.private_folder(self._file.parent)
            self._fd = lock_file(self._file.with_suffix(".lock"))
            if self._fd is None:
                self.trouble = f"another process has {self._file}: the worker before this one has not ended"
                return
            found = statefile.read(self._file, Journal)
            self.now, self.trouble = found or Journal(), None
            self.is_lost = found is None and os.path.lexists(self._file)
            if self.is_lost:
                self.trouble = (
                    f"{self._file} cannot be read, so nothing is deleted. Look at it, move it away, restart "
                    "the harvester's worker, and begin anew"
                )

    def close(self) -> None:
        """Change nothing from now on, and leave the file to the next process."""
        with self._lock:
            self.trouble = "the harvester's worker has ended"
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    def may_have_order(self) -> bool:
        """Whether there is an order, or none is known to be absent: another process may have the file."""
        return self.now.order is not None or os.path.lexists(self._file)

    def change(self, changed: Callable[[Journal], Journal]) -> Journal:
        """Change the journal durably.

        Args:
            changed: makes the new journal of the present one; may raise, and nothing changes then.

        Raises:
            OrderRefused: the file cannot be read, or is not open.
            OSError: it cannot be written, and nothing has changed.
        """
        with self._lock:
            if self.trouble is not None:
                raise OrderRefused(f"No old plots are replaced: {self.trouble}.", "Nothing was changed.")
            made = changed(self.now)
            if made != self.now:
                statefile.write(self._file, made)
                self.now = made
            return made


def now_utc() -> datetime:
    return datetime.now(UTC)
