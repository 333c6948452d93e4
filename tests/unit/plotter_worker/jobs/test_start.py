"""A start: alone in its tmp directory, with a record, and nothing left where it fails."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from common.config import Config
from common.errors import OrderRefused
from plotter_worker.jobs import start
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.order_checks import PlotDirectories
from plotter_worker.jobs.records import Records
from plotter_worker.jobs.start import Starter, StartFailed
from plotter_worker.processes.launch import STATE_VARIABLE, TASK_ID_VARIABLE
from plotter_worker.processes.table import is_running
from tests.support.plotter_package import TINY, Install
from tests.support.waiting import eventually
from tests.unit.common.config.test_reload import settings
from tests.unit.plotter_worker.builders import T, task_id_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLOTTER = f"#!{sys.executable} -IS\nimport time\ntime.sleep(60)\n"


@dataclass
class Machine:
    folder: Path
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def tmp(self) -> Path:
        return self.folder / "tmp"

    @property
    def logs(self) -> Path:
        return self.folder / "new" / "logs"

    @property
    def program(self) -> Path:
        return self.folder / "chia"

    @property
    def records(self) -> Records:
        return Records(self.folder / "state" / "jobs")

    def settings(self) -> Config:
        return settings(
            farm={"host": "p1", "state": str(self.folder / "state")},
            directories={"tmp": [str(self.tmp)], "dst": [str(self.folder / "dst")]},
            plotting={"type": "chia", "chia": {"executable": str(self.program)}},
            logging={"plots": str(self.logs)},
        )

    def start(self, task_id: str = T, known: set[int] = frozenset()) -> TrackedJob:  # type: ignore[assignment]
        where = PlotDirectories(str(self.tmp), None, str(self.folder / "dst"))
        starter = Starter(self.settings(), self.records)
        starter.check_log_folder()
        job, child = starter.start(task_id, where, known, NOW)
        self.children.append(child)
        return job

    def by_hand(self, tmp: Path, **environment: str) -> int:
        """Pid of a plotter in `tmp` that shows in the process table."""
        argv = [self.program, "plots", "create", "-k", "32", "-t", tmp, "-d", tmp]
        child = subprocess.Popen(argv, env=os.environ | environment)
        self.children.append(child)
        eventually(lambda: b"plots" in Path(f"/proc/{child.pid}/cmdline").read_bytes(), "it shows", 5)
        return child.pid


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    made.tmp.mkdir()
    made.program.write_text(PLOTTER, encoding="utf-8")
    made.program.chmod(0o755)
    yield made
    for child in made.children:
        child.kill()
        child.wait()


def test_a_started_plotter_has_a_record_a_log_and_a_session_of_its_own(machine: Machine) -> None:
    before = datetime.now(UTC)
    job = machine.start()
    (record,) = machine.records.all()
    assert record == job.record
    assert (record.task_id, record.ours, record.accepted_at) == (T, True, NOW)
    assert (record.tmp, record.tmp2, record.dst) == (str(machine.tmp), None, str(machine.folder / "dst"))
    assert record.asked == 1
    assert record.started_at is not None
    assert record.started_at >= before
    assert record.process is not None
    assert is_running(record.process)
    assert record.log is not None
    assert Path(record.log).is_file()
    assert job.command is not None
    assert job.command.tmp == str(machine.tmp)
    process = psutil.Process(machine.children[0].pid)
    assert os.getsid(process.pid) == process.pid
    environment = process.environ()
    assert environment[TASK_ID_VARIABLE] == T
    assert environment[STATE_VARIABLE] == str(machine.folder / "state")
    assert "chia" in " ".join(process.cmdline()), "it shows in the process table when the start returns"


def test_a_start_that_fails_leaves_no_record(machine: Machine) -> None:
    machine.logs.parent.mkdir()
    machine.logs.touch()
    with pytest.raises(StartFailed, match=r"cannot be started: .*logs"):
        machine.start()
    assert machine.records.all() == []


def test_a_package_that_breaks_at_the_start_is_refused_and_leaves_no_record(
    machine: Machine, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = "if tmp != '/tmp': raise SystemExit(3)\n        chosen = plotting.options"
    install("tinyplot", TINY.replace("chosen = plotting.options", fails, 1))
    plotting = {"type": "tinyplot", "farmer_pk": "f", "pool_pk": "p"}
    its = settings(
        farm={"host": "p1", "state": str(machine.folder / "state")},
        directories={"tmp": [str(machine.tmp)], "dst": [str(machine.folder / "dst")]},
        plotting=plotting,
        logging={"plots": str(machine.logs)},
    )
    monkeypatch.setattr(Machine, "settings", lambda _: its)
    with pytest.raises(StartFailed, match=r"tinyplot-for-plotman 1.0 fails: SystemExit: 3"):
        machine.start()
    assert machine.records.all() == []
    assert list(machine.logs.iterdir()) == []


def test_a_record_that_cannot_be_written_starts_nothing_and_names_the_state_directory(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Records, "save", full)
    with pytest.raises(
        OrderRefused, match=rf"in {machine.folder / 'state'}: No space left on device"
    ) as error:
        machine.start()
    assert not isinstance(error.value, StartFailed), "no plotter has failed"
    assert not list(machine.logs.iterdir())


def test_a_log_folder_that_begins_to_hang_leaves_no_record(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(start, "LOOK_DEADLINE_S", 0.3)
    opened = Path.open

    def hang(path: Path, *args: Any, **more: Any) -> Any:
        return answers.wait() if path.suffix == ".log" else opened(path, *args, **more)

    with monkeypatch.context() as hangs:
        hangs.setattr(Path, "open", hang)
        with pytest.raises(OrderRefused, match=rf"{machine.logs}, does not answer"):
            machine.start()
        answers.set()
    assert machine.records.all() == []


def test_a_missing_tmp_directory_starts_nothing(machine: Machine) -> None:
    machine.tmp.rmdir()
    with pytest.raises(OrderRefused, match=r"tmp cannot be opened"):
        machine.start()
    assert machine.records.all() == []


def test_while_another_plotman_starts_in_the_directory_nothing_is_started(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "_LOCK_WAIT_S", 0.05)
    fd = os.open(machine.tmp, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(OrderRefused, match="Another plotman is starting a plot in"):
        machine.start()
    assert machine.records.all() == []
    os.close(fd)
    machine.start()


def test_the_lock_is_held_during_the_start_and_free_after_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = []

    def is_locked() -> bool:
        fd = os.open(machine.tmp, os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    launch = start.launch

    def observed(*arguments: object) -> object:
        locked.append(is_locked())
        return launch(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(start, "launch", observed)
    machine.start()
    assert locked == [True]
    assert not is_locked(), "the plotter has not inherited it"


def test_a_file_system_without_locks_is_used_without(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(fd: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    assert machine.start().record.process is not None


def test_a_plotter_that_another_plotman_just_started_in_the_directory_prevents_the_start(
    machine: Machine,
) -> None:
    pid = machine.by_hand(machine.tmp)
    with pytest.raises(OrderRefused, match=rf"Another plotter \(pid {pid}\) has just been started in"):
        machine.start()
    assert machine.records.all() == []
    assert machine.start(known={pid}).record.process is not None, "the order was decided with it"


def test_plotters_elsewhere_and_our_own_do_not_prevent_a_start(machine: Machine) -> None:
    other = machine.folder / "other"
    other.mkdir()
    machine.by_hand(other)
    machine.by_hand(machine.tmp, **{STATE_VARIABLE: str(machine.folder / "state")})
    assert machine.start().record.process is not None


def test_a_program_that_ends_at_once_or_never_shows_costs_no_more_than_a_moment(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "_SHOW_WAIT_S", 5.0)
    machine.program.write_text("#!/bin/false\n", encoding="utf-8")
    began = datetime.now(UTC)
    machine.start()
    assert (datetime.now(UTC) - began).total_seconds() < 3, "it ended"
    machine.program.write_text(PLOTTER, encoding="utf-8")
    began = datetime.now(UTC)
    machine.start(task_id_of("t1"))
    assert (datetime.now(UTC) - began).total_seconds() < 3, "it shows"
    monkeypatch.setattr(start, "_SHOW_WAIT_S", 0.2)
    monkeypatch.setattr(start, "shows", lambda pid: False)
    machine.program.write_text(PLOTTER, encoding="utf-8")
    began = datetime.now(UTC)
    machine.start(task_id_of("t2"))
    assert 0.2 <= (datetime.now(UTC) - began).total_seconds() < 3
