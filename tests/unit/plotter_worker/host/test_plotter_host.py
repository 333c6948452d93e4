"""A plotter host without Celery and Redis: orders, ends, restarts, and what the snapshot shows of them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from common.errors import OrderRefused
from common.history.rows import End
from common.model import holds
from common.model.holds import HoldOrder
from common.model.messages import PlotOrder
from common.model.snapshot import PlotState
from plotter_worker.host.plotter_host import PlotterHost
from plotter_worker.jobs.order_checks import AlreadyTaken
from plotter_worker.jobs.records import JobRecord, Records
from plotter_worker.jobs.start import StartFailed
from plotter_worker.plotters.registry import plotter_for
from plotter_worker.processes.table import FoundPlotter, identity, pid_of
from plotter_worker.reporting.events import PlotterEvents
from tests.support.paths import LOGS
from tests.support.plots import write_plot
from tests.support.waiting import eventually
from tests.support.wrong_clock import DAY_S, HOUR_S, set_ahead
from tests.unit.common.config.test_reload import settings
from tests.unit.plotter_worker.builders import Sink, T, record, sleeper, task_id_of

PLOTTER = f"#!{sys.executable} -IS\nimport time\ntime.sleep(60)\n"


class Machine:
    """Makes hosts with the same directories and state, as restarts of a worker do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sink = Sink()
        self.hosts: list[PlotterHost] = []
        for name in ("tmp", "dst"):
            (folder / name).mkdir()
        self.program = folder / "chia"
        self.program.write_text(PLOTTER, encoding="utf-8")
        self.program.chmod(0o755)

    @property
    def records(self) -> Records:
        return Records(self.folder / "state" / "jobs")

    def host(self, **changes: Any) -> PlotterHost:
        config = settings(
            farm={"host": "p1", "state": str(self.folder / "state")},
            directories={"tmp": [str(self.folder / "tmp")], "dst": [str(self.folder / "dst")]},
            scheduling={"check_room": False, "global_stagger_m": 0, "failure_limit": 3},
            plotting={"type": "chia", "chia": {"executable": str(self.program)}},
            logging={"plots": str(self.folder / "logs")},
            **changes,
        )
        made = PlotterHost(config, PlotterEvents("p1", self.sink), lambda *_, **__: None)
        self.hosts.append(made)
        return made

    def running_host(self) -> PlotterHost:
        made = self.host()
        made.start()
        eventually(lambda: all(d.total_bytes for d in made.snapshot().tmp_dirs), "directories are known", 10)
        return made


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    for host in made.hosts:
        for job in host.jobs.running():
            if job.record.process and job.record.ours:
                with suppress(psutil.NoSuchProcess):
                    psutil.Process(pid_of(job.record.process)).kill()
    for host in made.hosts:
        if host._watcher._thread.is_alive():
            host.stop()


def order(host: PlotterHost, **fields: Any) -> PlotOrder:
    return PlotOrder(host="p1", start_token=host.jobs.start_token, **fields)


def test_an_order_starts_one_plot_and_makes_the_start_token_stale(machine: Machine) -> None:
    host = machine.running_host()
    first = order(host)
    job = host.take_order(task_id_of("t1"), first)
    assert job.claimed
    assert [shown.task_id for shown in host.snapshot().jobs] == [task_id_of("t1")]
    assert host.snapshot().last_start_at == job.record.started_at
    assert machine.sink.kinds == ["plot-started"]
    with pytest.raises(AlreadyTaken):
        host.take_order(task_id_of("t1"), first)
    with pytest.raises(OrderRefused, match="a plot was started here since"):
        host.take_order(task_id_of("t2"), first)
    assert len(host.jobs.all()) == 1


def test_the_last_refusal_of_beats_order_is_shown_until_a_plot_starts(machine: Machine) -> None:
    host = machine.running_host()
    first = order(host)
    with pytest.raises(OrderRefused):
        host.take_order(task_id_of("t1"), PlotOrder(host="p1", tmp="/nowhere"))
    assert host.snapshot().refused is None, "the operator has the answer"
    late = first.model_copy(update={"expires_at": datetime.now(UTC) - timedelta(seconds=7)})
    with pytest.raises(OrderRefused):
        host.take_order(task_id_of("t1"), late)
    shown = host.snapshot().refused
    assert shown is not None
    assert shown.reason == "The order came 7 s too late."
    assert machine.sink.changes, "it is published"
    host.take_order(task_id_of("t1"), first)
    assert host.snapshot().refused is None


@pytest.mark.parametrize("ahead_s", [-2 * HOUR_S, DAY_S])
def test_an_order_expires_by_the_farms_clock(
    machine: Machine, ahead_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = machine.running_host()
    set_ahead(monkeypatch, ahead_s)
    # This test cannot set the clock that the host reads: all times are moved the other way.
    good = order(host).model_copy(update={"expires_at": datetime.now(UTC) - timedelta(seconds=ahead_s - 30)})
    late = good.model_copy(update={"expires_at": datetime.now(UTC) - timedelta(seconds=ahead_s + 7)})
    with pytest.raises(OrderRefused, match="The order came 7 s too late"):
        host.take_order(task_id_of("t1"), late)
    assert host.take_order(task_id_of("t1"), good)


@pytest.mark.parametrize("set_back_s", [2 * HOUR_S, -DAY_S])
def test_a_running_job_started_by_the_clock_as_it_is_set_now(machine: Machine, set_back_s: float) -> None:
    host = machine.host()
    now = datetime.now(UTC)
    with sleeper() as child:
        noted = now + timedelta(seconds=set_back_s)
        host._restore(record(T, process=identity(child.pid), started_at=noted))
        (shown,) = host.snapshot().jobs
        assert abs(shown.started_at - now) < timedelta(seconds=5)


class Killed(BaseException):
    """In place of SIGKILL: nothing after it is carried out."""


@pytest.mark.parametrize(
    ("instead_of", "counted"),
    [
        ("plotter_worker.jobs.records.Records.keep", True),  # launched, and its process is not noted
        ("plotter_worker.host.operator_actions.OperatorActions.started", True),  # noted, and not counted
        ("plotter_worker.jobs.start.launch", False),  # noted, and not launched
    ],
)
def test_a_worker_killed_between_launch_and_count_starts_no_plot_more_than_asked(
    machine: Machine, instead_of: str, counted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = machine.running_host()
    first.operator.hold(HoldOrder(host="p1", after=2), holds.PLOTTING, "starts 2 more plots")

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(instead_of, killed)
        first.take_order(task_id_of("t1"), order(first))
    first.stop()
    for left in (1, 1) if counted else (2, 2):  # it is not counted again by the next worker
        host = machine.running_host()
        if counted:
            eventually(lambda host=host: host.snapshot().jobs, "the plotter is found", 20)
        assert host.snapshot().starts_left == left
        host.stop()


def test_a_snapshot_has_the_pause_that_begins_after_some_plots(machine: Machine) -> None:
    host = machine.host()
    pause = HoldOrder(host=host.name, reason="tour", by="anna@desk", after=2)
    host.operator.hold(pause, holds.PLOTTING, "starts 2 more plots")
    shown = host.snapshot()
    assert (shown.starts_left, shown.paused) == (2, None)
    assert shown.starts_hold is not None
    assert (shown.starts_hold.reason, shown.starts_hold.by) == ("tour", "anna@desk")


def test_a_killed_plot_ends_once_and_its_failure_does_not_count(machine: Machine) -> None:
    host = machine.running_host()
    job = host.take_order(task_id_of("t1"), order(host))
    host.terminate(job)
    assert job.outcome is not None
    assert job.outcome.reason == "Stopped by an operator."
    assert host.snapshot().failures.consecutive == 0
    assert machine.sink.kinds.count("plot-killed") == 1
    assert "plot-failed" not in machine.sink.kinds
    assert host.snapshot().jobs == ()
    host.reported(job)
    assert machine.records.all() == []


def test_plotters_that_die_at_once_are_counted_and_stop_plotting(machine: Machine) -> None:
    machine.program.write_text(f"#!{sys.executable} -IS\nprint('no keys today')\n", encoding="utf-8")
    host = machine.running_host()
    for count in (1, 2, 3):
        job = host.take_order(task_id_of(f"t{count}"), PlotOrder(host="p1"))
        assert job.wait_end(10)
        eventually(lambda count=count: host.snapshot().failures.consecutive == count, "it is counted", 5)
    assert "no keys today" in str(host.snapshot().failures.last_reason)
    eventually(lambda: machine.sink.kinds[-1] == "plot-failed", "all is reported", 5)
    died = [kind for kind in machine.sink.kinds if kind in ("plotter-died", "plotting-stopped")]
    assert died == ["plotter-died", "plotter-died", "plotting-stopped"]


def test_a_program_that_cannot_be_started_counts_as_a_failure(machine: Machine) -> None:
    (machine.folder / "logs").touch()
    host = machine.running_host()
    with pytest.raises(StartFailed):
        host.take_order(task_id_of("t1"), order(host))
    assert host.snapshot().failures.consecutive == 1
    assert host.jobs.all() == []


def test_a_log_folder_that_hangs_is_named_and_delays_no_snapshot(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, answers = machine.running_host(), threading.Event()
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: answers.wait())
    with ThreadPoolExecutor() as pool:
        order = PlotOrder(host="p1", tmp=str(machine.folder / "tmp"), dst=str(machine.folder / "dst"))
        taken = pool.submit(host.take_order, "t", order)
        eventually(lambda: pool.submit(host.snapshot).result(timeout=0.5), "a snapshot is made", 1)
        assert not taken.done()
        with pytest.raises(OrderRefused, match=rf"logs, {machine.folder}/logs, does not answer"):
            taken.result()
        answers.set()
    assert host.snapshot().failures.consecutive == 0, "no plotter has failed"


def test_a_restarted_worker_goes_on_with_running_jobs_and_judges_those_that_ended(machine: Machine) -> None:
    first = machine.running_host()
    job = first.take_order(task_id_of("t1"), order(first))
    first.stop()
    machine.records.save(record(task_id_of("ended"), process="other-boot:5:5", log="/nowhere"))
    machine.records.save(record(task_id_of("unstarted")))
    host = machine.running_host()
    restored = host.jobs.get(task_id_of("t1"))
    assert restored is not None
    assert restored.record == job.record
    assert restored.command is not None
    assert not restored.claimed, "its task is requested"
    ended = eventually(
        lambda: (found := host.jobs.get(task_id_of("ended"))) and found.outcome, "it is judged", 10
    )
    assert ended.reason == "The machine went down while it ran."
    assert host.snapshot().failures.consecutive == 0
    assert host.jobs.get(task_id_of("unstarted")) is None
    assert {kept.task_id for kept in machine.records.all()} == {task_id_of("t1"), task_id_of("ended")}


def test_a_kill_whose_end_nobody_saw_is_no_failure_after_a_restart(machine: Machine) -> None:
    host = machine.running_host()
    job = host.take_order(task_id_of("t1"), order(host))
    host._watcher.stop()  # the worker dies as soon as it has killed the plotter
    host.terminate(job)
    assert job.outcome is None

    (after,) = machine.running_host().jobs.all()
    ended = eventually(lambda: after.outcome, "the end is judged", 10)
    assert (ended.end, ended.reason) == (End.KILLED, "Stopped by an operator.")
    assert "plot-failed" not in machine.sink.kinds
    assert machine.hosts[-1].snapshot().failures.consecutive == 0


def test_a_kill_that_is_refused_leaves_no_killer_in_the_record(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = machine.running_host()
    job = host.take_order(task_id_of("t1"), order(host))

    def denied(process: psutil.Process, number: int) -> None:
        raise psutil.AccessDenied(process.pid)

    with monkeypatch.context() as patched:
        patched.setattr(psutil.Process, "send_signal", denied)
        with pytest.raises(OrderRefused, match="may not signal"):
            host.terminate(job)
    assert machine.records.all()[0].killed_by is None


def test_a_kill_that_was_interrupted_does_not_explain_a_later_failure(machine: Machine) -> None:
    host = machine.running_host()
    job = host.take_order(task_id_of("t1"), order(host))
    host.stop()
    machine.records.save(job.record.model_copy(update={"killed_by": "an operator"}))

    (after,) = machine.running_host().jobs.all()
    assert after.killed_by is None
    assert machine.records.all()[0].killed_by is None
    psutil.Process(pid_of(after.record.process or "")).kill()
    assert eventually(lambda: after.outcome, "the end is judged", 10).end is End.FAILED


def test_a_restarted_worker_shows_no_less_of_a_plot_than_the_former_one(machine: Machine) -> None:
    first = machine.running_host()
    job = first.take_order(task_id_of("t1"), order(first))
    log = (LOGS / "chiapos-k18.log").read_bytes()
    job.reader.feed(log[: log.index(b"Starting phase 3/4")])
    job.log_seen = True
    shown = first.snapshot_of(job).percent
    assert shown and shown > 1
    first.stop()
    second = machine.running_host()
    restored = second.jobs.get(task_id_of("t1"))
    assert restored is not None
    restored.log_seen = True
    assert second.snapshot_of(restored).percent == shown, "before it has read the log again"


@pytest.mark.parametrize(
    ("state", "where", "task_id", "followed"),
    [
        (None, "tmp", None, True),  # started by hand
        (None, "elsewhere", None, True),
        ("ours", "tmp", task_id_of("t7"), True),  # an order whose record was lost
        ("theirs", "tmp", task_id_of("t7"), True),
        ("theirs", "elsewhere", task_id_of("t7"), False),
    ],
)
def test_which_plotters_that_are_found_running_are_watched(
    machine: Machine, state: str | None, where: str, task_id: str | None, followed: bool
) -> None:
    host = machine.host()
    tmp = str(machine.folder / where)
    argv = ("chia", "plots", "create", "-k", "32", "-t", tmp, "-d", tmp)
    command = plotter_for("chia").recognise(argv, "/")
    assert command is not None
    with sleeper() as child:
        found = FoundPlotter(
            pid=child.pid,
            identity=identity(child.pid),
            started_at_s=datetime.now(UTC).timestamp(),
            argv=argv,
            plotter=plotter_for("chia"),
            command=command,
            task_id=task_id,
            state_dir={None: None, "ours": str(machine.folder / "state")}.get(state, state),
            log=None,
        )
        token = host.jobs.start_token
        job = host.plotter_found(found)
        assert (job is not None) == followed
        assert (host.jobs.start_token != token) == followed, "an order decided without it is void"
        if job is not None:
            assert job.record.ours == (state == "ours")
            assert (job.task_id == task_id_of("t7")) == (state == "ours")
            assert host.plotter_found(found) is None, "only once"
            assert machine.sink.kinds == ["plot-found"]
            assert [kept.task_id for kept in machine.records.all()] == [job.task_id]


def test_a_job_that_plots_for_two_minutes_clears_the_failures(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = machine.host()
    now = datetime.now(UTC)
    host.operator.died_at_once("no keys", now - timedelta(hours=1), 3)
    log = machine.folder / "log"
    log.write_text("Starting phase 1/4: Forward Propagation into tmp files... now\n", encoding="utf-8")
    with sleeper() as child:
        kept: JobRecord = record(T, process=identity(child.pid), log=str(log), started_at=now)
        host._restore(kept)
        (job,) = host.jobs.running()
        job.read_log()
        host._refresh_all([job])
        assert host.snapshot().failures.consecutive == 1
        monkeypatch.setattr("plotter_worker.jobs.job.age_s", lambda _: 121.0)
        host._refresh_all([job])
        assert host.snapshot().failures.consecutive == 0


def test_a_finished_plot_is_reported_once_and_hidden_from_its_release_on(machine: Machine) -> None:
    host = machine.running_host()
    plot = write_plot(machine.folder / "dst")
    eventually(lambda: machine.sink.kinds == ["plot-ready"], "it is reported", 10)
    assert [shown.path for shown in host.snapshot().plots] == [str(plot)]
    host.operator.refuse_plot(str(plot), "bad proofs")
    (shown,) = host.snapshot().plots
    assert (shown.state, shown.reason) == (PlotState.REFUSED, "bad proofs")
    host.finished_plots.release(str(plot))
    assert host.snapshot().plots == (), "also while the last survey still has it"
    host.directories.refresh()
    assert machine.sink.kinds == ["plot-ready"]


def test_a_reload_changes_limits_and_directories_and_no_job(machine: Machine) -> None:
    host = machine.running_host()
    job = host.take_order(task_id_of("t1"), order(host))
    other = machine.folder / "other"
    other.mkdir()
    changed = host.settings.model_copy(
        update={"directories": settings(directories={"tmp": [str(other)], "dst": [str(other)]}).directories}
    )
    host.reload(changed)
    assert [tmp.path for tmp in host.snapshot().tmp_dirs] == [str(other)]
    assert host.directories.retired == {str(machine.folder / "tmp"), str(machine.folder / "dst")}
    assert str(machine.folder / "dst") in host.plot_dirs
    assert host.jobs.running() == [job]


def test_what_leaves_the_task_requests_no_other_for_a_while(machine: Machine) -> None:
    host = machine.running_host()
    job = host.take_order(task_id_of("t1"), order(host))
    host.unclaim(job)
    assert not job.claimed
    host._adoption.request(job)
    assert host._adoption._requested.empty()
