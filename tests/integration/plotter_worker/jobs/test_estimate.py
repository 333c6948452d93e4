"""The host learns from real plots how long they take, and keeps it over a restart."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from common.config.model import Config
from common.history.recorder import history_path
from common.history.rows import END_STEP, HistoryKind, PlotEnd
from common.history.store import reading
from common.model.messages import PlotOrder
from common.model.snapshot import Job
from common.names import Role
from plotter_worker.host.plotter_host import PlotterHost
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.plotters.base import NOT_BEGUN
from plotter_worker.processes.table import pid_of
from plotter_worker.reporting.events import PlotterEvents
from plotter_worker.reporting.plot_history import PlotHistory
from tests.support.sections import SCHEDULING, small_plots
from tests.support.waiting import eventually
from tests.unit.plotter_worker.builders import Sink, task_id_of


@pytest.fixture
def config(tmp_path: Path, chia: Path, chia_root: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("CHIA_ROOT", str(chia_root))
    for name in ("tmp", "dst"):
        (tmp_path / name).mkdir()
    return Config.model_validate(
        {
            "version": [2],
            "farm": {"host": "p1", "state": str(tmp_path / "state")},
            "directories": {"tmp": [str(tmp_path / "tmp")], "dst": [str(tmp_path / "dst")]},
            "scheduling": SCHEDULING | {"check_room": False},
            "plotting": small_plots(chia),
            "logging": {"plots": str(tmp_path / "logs")},
        }
    )


@contextmanager
def worker(config: Config) -> Iterator[PlotterHost]:
    """A worker's host and history, without Celery."""
    history = PlotHistory(config, lambda: None)
    host = PlotterHost(config, PlotterEvents("p1", Sink(), history), lambda *_, **__: None, history.learned)
    history.start()
    host.start()
    try:
        eventually(lambda: all(tmp.total_bytes for tmp in host.snapshot().tmp_dirs), "it looks around", 20)
        yield host
    finally:
        host.stop()
        history.stop()


def begin(host: PlotterHost, name: str) -> TrackedJob:
    return host.take_order(task_id_of(name), PlotOrder(host="p1", start_token=host.jobs.start_token))


def watched(host: PlotterHost, job: TrackedJob) -> list[Job]:
    """What its snapshots show until it ends."""
    seen = []
    while not job.wait_end(0.02):
        seen.append(host.snapshot_of(job))
    assert job.outcome
    assert job.outcome.succeeded, job.outcome.reason
    return seen


def plots(config: Config, count: int) -> list[PlotEnd]:
    """The plots in the history's file, the newest first."""

    def found() -> list[PlotEnd]:
        with reading(history_path(config.state_dir, Role.PLOTTER)) as file:
            rows = file.page(HistoryKind.PLOTS, 9) if file else []
        return [row for row in rows if isinstance(row, PlotEnd)]

    return eventually(lambda: len(rows := found()) == count and rows, "the plots are recorded", 20)


def test_the_second_plot_has_an_eta_from_its_start_on_also_after_a_restart(config: Config) -> None:
    with worker(config) as host:
        watched(host, begin(host, "first"))
        (row,) = plots(config, 1)
    assert row.steps_s
    assert row.steps_s[END_STEP] == max(row.steps_s.values()) > 0
    with worker(config) as host:
        eventually(lambda: host._learned._medians, "it reads what it had learned", 20)
        job = begin(host, "second")
        seen = [shown for shown in watched(host, job) if shown.percent is not None]
    assert all(shown.eta_s is not None for shown in seen if shown.phase == NOT_BEGUN)
    percents = [shown.percent for shown in seen if shown.percent is not None]
    assert percents == sorted(percents)
    assert len(set(percents)) > 20, "it grows between the lines"
    assert max(percents) <= 100


def test_a_plot_that_was_suspended_teaches_the_time_in_which_it_ran(config: Config) -> None:
    with worker(config) as host:
        job = begin(host, "first")
        assert job.record.process
        process = psutil.Process(pid_of(job.record.process))
        process.send_signal(signal.SIGSTOP)
        eventually(lambda: process.status() == psutil.STATUS_STOPPED, "it is stopped", 10)
        host.refresh(job)
        shown, since_s = host.snapshot_of(job), time.monotonic()
        assert shown.eta_s is None
    with worker(config) as host:
        job = eventually(lambda: host.jobs.get(task_id_of("first")), "the next worker takes it over", 10)
        assert job.record.idle_since is not None, "it knows since when"
        eventually(lambda: time.monotonic() > since_s + 3, "some time passes", 10)
        process.send_signal(signal.SIGCONT)
        eventually(lambda: process.status() != psutil.STATUS_STOPPED, "it runs", 10)
        host.refresh(job)
        assert job.record.idle_since is None
        assert job.record.idle_s >= 3
        assert job.wait_end(120)
        (row,) = plots(config, 1)
    assert row.wall_s is not None
    assert row.steps_s is not None
    assert row.steps_s.get(END_STEP, 0) <= row.wall_s - 3
