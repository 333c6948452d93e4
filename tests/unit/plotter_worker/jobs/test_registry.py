"""Which orders may start a job, which task represents one, and what a restart finds."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plotter_worker.jobs.order_checks import AlreadyTaken
from plotter_worker.jobs.records import Outcome, Records
from plotter_worker.jobs.registry import JobRegistry
from tests.unit.plotter_worker.builders import T, job, task_id_of


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


@pytest.fixture
def registry(records: Records) -> JobRegistry:
    return JobRegistry(records, threading.RLock())


def test_an_order_is_carried_out_once_also_after_its_job_ended_and_was_reported(
    registry: JobRegistry,
) -> None:
    registry.must_be_new(T)
    started = job()
    registry.add_ordered(started)
    for state in ("it runs", "it is reported"):
        with pytest.raises(AlreadyTaken, match=f"Order {T} has been carried out already"):
            registry.must_be_new(T)
        assert (registry.get(T) is None) == (state == "it is reported")
        registry.remove(started)
    registry.must_be_new("another")


def test_a_second_task_cannot_represent_a_job(registry: JobRegistry) -> None:
    found = job()
    registry.add_found(found)
    assert not found.claimed
    assert registry.claim(T) is found
    assert found.claimed
    with pytest.raises(AlreadyTaken, match=f"Another task already stands for job {T}"):
        registry.claim(T)


def test_a_task_without_a_job_claims_nothing(registry: JobRegistry) -> None:
    assert registry.claim(T) is None


def test_the_task_of_an_order_represents_its_job_from_the_start(registry: JobRegistry) -> None:
    registry.add_ordered(job())
    with pytest.raises(AlreadyTaken):
        registry.claim(T)


def test_each_start_makes_a_new_start_token_and_a_restored_job_does_not(registry: JobRegistry) -> None:
    tokens = [registry.start_token]
    for add in (registry.add_found, registry.add_ordered, registry.add_restored):
        add(job(add.__name__))
        tokens.append(registry.start_token)
    assert len(set(tokens[:3])) == 3
    assert tokens[3] == tokens[2]
    assert len(registry.all()) == 3


def test_an_order_of_a_former_worker_is_void(registry: JobRegistry, records: Records) -> None:
    assert JobRegistry(records, threading.RLock()).start_token != registry.start_token


def test_a_job_that_ended_does_not_run_and_stays_until_it_is_reported(
    registry: JobRegistry, records: Records
) -> None:
    ended, running = job(task_id_of("t1"), process="boot:11:1"), job(task_id_of("t2"), process="boot:22:2")
    for each in (ended, running, job(task_id_of("t3"))):
        registry.add_found(each)
    registry.remove(job(task_id_of("t3")))
    outcome = Outcome(succeeded=True, ended_at=datetime.now(UTC))
    registry.update(ended, ended.record.model_copy(update={"outcome": outcome}))
    assert registry.running() == [running]
    assert registry.all() == [ended, running]
    assert registry.pids() == {11, 22}
    assert [record.outcome for record in records.all()] == [outcome], "a restart knows how it ended"
    registry.remove(ended)
    assert registry.all() == [running]
    assert records.all() == []
    registry.remove(ended)  # a second report of the same job
