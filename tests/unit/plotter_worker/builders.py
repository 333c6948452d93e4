"""Jobs, orders and admissions for tests of a plotter host's parts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.model.messages import Admission, Reservation
from common.model.snapshot import Event
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.records import JobRecord
from plotter_worker.plotters.registry import plotter_for
from tests.support.paths import LOGS


class Sink:
    """Keeps events, and counts other changes of the snapshot."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.changes = 0

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def changed(self) -> None:
        self.changes += 1

    def progressed(self) -> None: ...

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def publish_now(self) -> None: ...


def record(task_id: str = "t", plotter: str = "chia", **fields: Any) -> JobRecord:
    given = {"ours": True, "accepted_at": datetime.now(UTC), "argv": ()} | fields
    return JobRecord(task_id=task_id, plotter=plotter, **given)


def job(task_id: str = "t", plotter: str = "chia", log: str | None = None, **fields: Any) -> TrackedJob:
    """log: name of a recorded log that the job has read."""
    made = TrackedJob(record(task_id, plotter, **fields), plotter_for(plotter), None)
    if log is not None:
        made.reader.feed((LOGS / f"{log}.log").read_bytes())
        made.log_seen = True
    return made


@contextmanager
def sleeper(seconds: float = 60) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own, ended at last."""
    child = subprocess.Popen(["sleep", str(seconds)], start_new_session=True)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def admission(source: Path, landed: Path, host: str = "h1", source_host: str = "p1") -> Admission:
    """Of a source that exists."""
    size_bytes = source.stat().st_size
    return Admission(
        reservation=Reservation(
            host=host,
            source_host=source_host,
            path=str(source),
            size_bytes=size_bytes,
            drive=str(landed.parent),
            part=str(landed.parent / ".incoming" / "x.part"),
        ),
        landed=str(landed),
        size_bytes=size_bytes,
        verified="header and size",
    )
