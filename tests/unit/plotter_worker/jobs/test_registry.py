"""Which orders may start a job, and which task stands for one."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.order_checks import AlreadyTaken
from plotter_worker.jobs.records import JobRecord, Records
from plotter_worker.jobs.registry import JobRegistry
from plotter_worker.plotters.registry import plotter_for


def job_of(task_id: str) -> TrackedJob:
    record = JobRecord(task_id=task_id, plotter="chia", ours=True, accepted_at=datetime.now(UTC), argv=())
    return TrackedJob(record, plotter_for("chia"), None)


@pytest.fixture
def roster(tmp_path: Path) -> JobRegistry:
    return JobRegistry(Records(tmp_path), threading.RLock())


def test_an_order_is_carried_out_once_also_after_its_job_ended_and_was_reported(roster: JobRegistry) -> None:
    roster.must_be_new("t")
    job = job_of("t")
    roster.ordered(job)
    for state in ("it runs", "it is reported"):
        with pytest.raises(AlreadyTaken, match="Order t has been carried out already"):
            roster.must_be_new("t")
        assert (roster.job("t") is None) == (state == "it is reported")
        roster.reported(job)
    roster.must_be_new("another")


def test_a_second_task_cannot_stand_for_a_job(roster: JobRegistry) -> None:
    job = job_of("t")
    roster.found(job)
    assert roster.claim("t") is job
    with pytest.raises(AlreadyTaken, match="Another task already stands for job t"):
        roster.claim("t")
