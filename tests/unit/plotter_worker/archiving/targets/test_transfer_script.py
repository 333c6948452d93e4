"""A transfer script's log, and which running processes are transfers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from common.errors import TransferFailed
from common.worker.move_step import never
from plotter_worker.archiving.targets import transfer_script
from plotter_worker.archiving.targets.transfer_script import MARK, Script, first_running, running
from plotter_worker.archiving.transfer.progress import TransferProgress
from tests.support.waiting import eventually


def script(folder: Path, lines: str) -> Script:
    program = folder / "transfer"
    program.write_text(f"#!/bin/sh\n{lines}\n")
    program.chmod(0o755)
    return Script(program, dict(os.environ), folder / "logs", "us")


def test_the_output_is_kept_read_for_progress_and_its_end_is_told(tmp_path: Path) -> None:
    progress: list[TransferProgress] = []
    line = "  1000  20%  181.09MB/s    0:00:04  "
    ended = script(tmp_path, f"printf '%s\\r' '{line}'; echo; echo ' one '; echo two >&2; exit 3").run(
        progress.append, never
    )
    assert (ended.code, ended.last_lines) == (3, ("one", "two"))
    assert [each.done_bytes for each in progress] == [1000]
    assert ended.log.parent == tmp_path / "logs"
    assert b"one" in ended.log.read_bytes()


def test_progress_is_told_while_the_script_runs(tmp_path: Path) -> None:
    go = tmp_path / "go"
    lines = f"echo '  1000  20%  181.09MB/s    0:00:04  '; while [ ! -e {go} ]; do sleep 0.02; done"
    assert script(tmp_path, lines).run(lambda _: go.touch(), never).code == 0


def test_a_log_that_cannot_be_written_stops_the_transfer(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()
    with pytest.raises(TransferFailed, match=r"cannot be written .*Correct logging\.transfers"):
        script(tmp_path, f"touch {tmp_path}/ran").run(lambda _: None, never)
    assert not (tmp_path / "ran").exists()


def orphan(folder: Path, name: str, argument: str, **env: str) -> psutil.Process:
    """A process that is no child of this one."""
    program = folder / name
    if not program.exists():
        shutil.copy(shutil.which("sleep") or "", program)
    started = subprocess.check_output(["sh", "-c", f"{program} {argument} >&- 2>&- & echo $!"], env=env)
    process = psutil.Process(int(started))
    eventually(lambda: process.name() == name and process.cmdline(), "it is started")
    return process


def test_transfers_are_known_by_name_and_argument_or_by_their_mark(tmp_path: Path) -> None:
    processes = [
        orphan(tmp_path, "sends", "3601"),
        orphan(tmp_path, "sends", "4601"),
        orphan(tmp_path, "other", "3601"),
        orphan(tmp_path, "other", "3602", **{MARK: "us"}),
        orphan(tmp_path, "other", "3603", **{MARK: "others"}),
    ]
    child = subprocess.Popen([tmp_path / "sends", "3604"])
    script_of_ours = subprocess.Popen(["sh", "-c", f"{tmp_path}/sends 3605 & wait"], start_new_session=True)
    try:
        eventually(lambda: psutil.Process(child.pid).name() == "sends", "it is started")
        eventually(psutil.Process(script_of_ours.pid).children, "what it starts is started")
        assert set(running("sends", "36", "us")) == {processes[0], processes[3]}
        assert running("sends", "", "nobody") == [], "an empty argument would match all"
        assert first_running([processes[0]]) == f"sends (pid {processes[0].pid})"
        processes[0].kill()
        eventually(lambda: first_running(processes[:1]) is None, "its end is seen", 10)
        assert first_running(processes[:2]) == f"sends (pid {processes[1].pid})"
        child.kill()
        zombie = psutil.Process(child.pid)
        eventually(lambda: zombie.status() == psutil.STATUS_ZOMBIE, "it is dead", 10)
        assert first_running([zombie]) is None
    finally:
        for process in processes[1:]:
            process.kill()
        child.kill()
        child.wait()
        os.killpg(script_of_ours.pid, signal.SIGKILL)
        script_of_ours.wait()


@pytest.mark.parametrize(
    ("trap", "signals"), [(":", [signal.SIGTERM]), ("trap '' TERM", [signal.SIGTERM, signal.SIGKILL])]
)
def test_a_script_is_killed_only_if_it_does_not_end_by_itself(
    trap: str, signals: list[signal.Signals], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    real = os.killpg
    monkeypatch.setattr(transfer_script, "_GRACE_S", 1.0)
    monkeypatch.setattr(os, "killpg", lambda pid, number: sent.append(number) or real(pid, number))
    lines = f"{trap}; echo; while :; do sleep 0.05; done"
    with subprocess.Popen(["sh", "-c", lines], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        transfer_script._end(process)
        assert process.wait(10) == -signals[-1]
    assert sent == signals


class Denied:
    """A process that may not be looked at."""

    def __init__(self, uid: int) -> None:
        self.uid = uid

    def uids(self) -> Any:
        return type("Ids", (), {"real": self.uid})

    def environ(self) -> dict[str, str]:
        if self.uid != os.getuid():
            return {MARK: "us"}
        raise psutil.AccessDenied(1)


def test_processes_of_other_users_and_unreadable_ones_are_not_ours() -> None:
    for uid in (os.getuid(), os.getuid() + 1):
        assert transfer_script._is_marked(Denied(uid), "us") is False  # type: ignore[arg-type]
