"""Jobs, orders and admissions for tests of a plotter host's parts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from common.model.messages import Admission, Reservation
from common.model.snapshot import Event
from plotter_worker.host import kill as killing
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.records import JobRecord
from plotter_worker.plotters.registry import plotter_for
from plotter_worker.processes.table import identity, is_running
from plotter_worker.reporting.events import PlotterEvents
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


def task_id_of(name: str) -> str:
    """A task id that a test calls by a short name."""
    return str(uuid5(NAMESPACE_URL, name))


T = task_id_of("t")


def record(task_id: str = T, plotter: str = "chia", **fields: Any) -> JobRecord:
    given = {"ours": True, "accepted_at": datetime.now(UTC), "argv": ()} | fields
    return JobRecord(task_id=task_id, plotter=plotter, **given)


def job(
    task_id: str = T,
    plotter: str = "chia",
    log: str | None = None,
    log_path: Path | None = None,
    **fields: Any,
) -> TrackedJob:
    """log: name of a recorded log that the job has read; log_path: a file for it to read."""
    if log_path is not None:
        fields["log"] = str(log_path)
    made = TrackedJob(record(task_id, plotter, **fields), plotter_for(plotter), None)
    if log is not None:
        made.reader.feed((LOGS / f"{log}.log").read_bytes())
        made.log_seen = True
    return made


@dataclass
class Machine:
    """Two directories, and jobs whose processes sleep."""

    tmp: Path
    dst: Path
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)
    sink: Sink = field(default_factory=Sink)

    def job(self, plotter: str, tmp: Path, number: int) -> TrackedJob:
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        self.children.append(child)
        record = JobRecord(
            task_id=f"t{number}",
            plotter=plotter,
            ours=True,
            accepted_at=datetime.now(UTC),
            argv=(),
            tmp=str(tmp),
            dst=str(self.dst),
            process=identity(child.pid),
        )
        return TrackedJob(record, plotter_for(plotter), None)

    def terminate(self, job: TrackedJob, running: list[TrackedJob]) -> killing.Killed:
        folders = [str(self.tmp), str(self.dst)]

        def note_killer(kills: bool) -> None:
            job.record = job.record.model_copy(update={"killed_by": "an operator" if kills else None})

        return killing.terminate(job, note_killer, folders, lambda: running, PlotterEvents("p1", self.sink))

    def kill(self, job: TrackedJob, running: list[TrackedJob]) -> killing.Killed:
        killed = self.terminate(job, running)
        assert not runs(job)
        return killed

    def named_job(self) -> tuple[TrackedJob, list[Path]]:
        """A job whose plot id is known, and its unfinished files in tmp and dst."""
        job = self.job("chia", self.tmp, 1)
        job.reader.feed((LOGS / "chiapos-k18.log").read_bytes().split(b"Starting phase 2")[0])
        name = f"plot-k18-2026-11-22-11-20-{job.progress.plot_id}.plot"
        files = [self.tmp / f"{name}.table1.tmp", self.dst / f"{name}.2.tmp"]
        for file in files:
            file.write_bytes(bytes(8192))
        return job, files


def runs(job: TrackedJob) -> bool:
    assert job.record.process is not None
    return is_running(job.record.process)


@contextmanager
def sleeper(seconds: float = 60) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own, ended at last."""
    child = subprocess.Popen(["sleep", str(seconds)], stdout=subprocess.DEVNULL, start_new_session=True)
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
