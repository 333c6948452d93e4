"""Deletes an old plot, and kills itself: `python -m tests.support.replot_killed STATE DRIVE PLOT POINT`.

POINT counts the changes of files and directories, and each fsync: odd ones are right before it, even ones
right after it. Prints how many there are if it comes to the end.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

from common.model.replot_order import ReplotOrder
from common.system.plotfile import read_header
from harvester_worker.replot import ledger, removal
from harvester_worker.replot.journal import Credit, JournalFile, Victim
from harvester_worker.replot.removal import Removal

ORDER = ReplotOrder.read(host="h1", classes=[{"name": "old", "k": 18, "levels": [0]}])
NEW_ID = "ab" * 32
points = 0


def counting(real: Callable[..., Any], last: int) -> Callable[..., Any]:
    """The same function, with a point before and after it."""

    def reach() -> None:
        global points  # noqa: PLW0603
        points += 1
        if points == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def call(*arguments: Any, **more: Any) -> Any:
        reach()
        answer = real(*arguments, **more)
        reach()
        return answer

    return call


def victim_of(plot: Path) -> Victim:
    status = plot.lstat()
    return Victim(
        drive=str(plot.parent),
        name=plot.name,
        class_name="old",
        plot_id=read_header(plot).plot_id,
        size_bytes=status.st_size,
        inode=status.st_ino,
        mtime_ns=status.st_mtime_ns,
        uses={NEW_ID: status.st_size},
    )


def credited(journal: JournalFile, size_bytes: int) -> None:
    """A new plot of this size has arrived."""
    new = Credit(plot_id=NEW_ID, drive="/d", name="n", inode=1, size_bytes=size_bytes, left_bytes=size_bytes)
    journal.change(partial(ledger.ordered, order=ORDER, now=datetime.now(UTC)))
    journal.change(partial(ledger.landed, credit=new, counts=True))


def main() -> None:
    state, _, plot, last = sys.argv[1:]
    victim = victim_of(Path(plot))
    journal = JournalFile(Path(state))
    journal.open()
    credited(journal, victim.size_bytes)
    for owner, name in (
        (removal, "rename_new"),
        (Path, "unlink"),
        (Path, "replace"),
        (os, "fsync"),
    ):
        setattr(owner, name, counting(getattr(owner, name), int(last)))
    journal.change(partial(ledger.chosen, victim=victim))
    Removal(
        victim,
        ORDER.classes[0].old,
        must_be_mounted=False,
        may_go=lambda: None,
        deleting=lambda: _change(journal, partial(ledger.deleting, order=ORDER, victim=victim)),
        settled=lambda: _change(journal, partial(ledger.settled, today=date(2026, 12, 1))),
    ).run()
    print(points)


def _change(journal: JournalFile, changed: Any) -> None:
    journal.change(changed)


if __name__ == "__main__":
    main()
