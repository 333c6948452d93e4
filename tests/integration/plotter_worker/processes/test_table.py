"""Finding plotters in the real process table."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from plotter_worker.processes import table as processes
from plotter_worker.processes.launch import GPU_VARIABLE, STATE_VARIABLE, launch
from plotter_worker.processes.table import ProcessTable, identity, is_running, shows
from tests.support.bench import Bench
from tests.support.waiting import eventually

TASK_ID = "0dd1c1a6-9b0e-4f8e-8a1b-3f1d8a6f0001"


def marked(folder: Path) -> dict[str, str]:
    """Environment of a plotter that farms of other tests leave alone."""
    return os.environ | {STATE_VARIABLE: str(folder)}


def test_a_plotter_that_nobody_s_plotman_started_is_found_with_its_log_and_directories(
    tmp_path: Path,
) -> None:
    bench = Bench.lay_out(tmp_path)
    bench.plan(live_s=60)
    log = tmp_path / "by hand.log"
    argv = [bench.program, "plotters", "chiapos", "-k18", "-t", "tmp/1", "-d", f"{bench.dst}/"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PLOTMAN")}
    with log.open("wb") as output:
        child = subprocess.Popen(argv, stdout=output, cwd=tmp_path, env=environment)
    try:
        table = ProcessTable()
        found = eventually(lambda: [it for it in table.newcomers(set()) if it.pid == child.pid], "found")[0]
        assert (found.command.tmp, found.command.dst, found.command.k) == (str(bench.tmp), str(bench.dst), 18)
        assert found.log == str(log)
        assert (found.task_id, found.state_dir) == (None, None)
        assert found.identity == identity(child.pid)
        assert not [it for it in table.newcomers({child.pid}) if it.pid == child.pid], "it is known"
    finally:
        child.kill()
        eventually(lambda: not is_running(found.identity), "a zombie does not run")
        child.wait()
    assert not is_running(found.identity)


def test_a_plotter_shows_only_once_nice_and_env_have_become_it(tmp_path: Path) -> None:
    bench = Bench.lay_out(tmp_path, shebang="/usr/bin/env python3")
    bench.plan(live_s=60)
    argv = [str(bench.program), "plotters", "chiapos", "-k", "18", "-t", str(bench.tmp), "-d", str(bench.dst)]
    with (tmp_path / "log").open("ab") as output:
        child = launch(argv, output, TASK_ID, tmp_path / "state")
    try:
        eventually(lambda: shows(child.pid), "it shows")
        found = [it for it in ProcessTable().newcomers(set()) if it.pid == child.pid]
        assert [(it.task_id, it.state_dir) for it in found] == [(TASK_ID, str(tmp_path / "state"))]
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == 15
        assert os.getsid(child.pid) == child.pid
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize(
    ("name", "visible", "gpu"),
    [
        ("cuda_plot_k32", "1", "1"),
        ("cuda_plot_k32", "GPU-4f2a", "GPU-4f2a"),
        ("cuda_plot_k32", "0,1", ""),
        ("cuda_plot_k32", None, ""),
        ("chia_plot", "1", None),
    ],
)
def test_the_gpu_of_a_plotter_is_the_one_that_its_environment_names(
    tmp_path: Path, name: str, visible: str | None, gpu: str | None
) -> None:
    program = tmp_path / name
    program.write_text(f"#!{sys.executable} -IS\nimport time\ntime.sleep(60)\n")
    program.chmod(0o755)
    environment = marked(tmp_path) | ({} if visible is None else {GPU_VARIABLE: visible})
    child = subprocess.Popen([program, "-t", f"{tmp_path}/", "-d", f"{tmp_path}/"], env=environment)
    try:
        table = ProcessTable()
        found = eventually(lambda: [it for it in table.newcomers(set()) if it.pid == child.pid], "found")[0]
        assert found.gpu == gpu
    finally:
        child.kill()
        child.wait()


def test_what_a_shell_becomes_is_found_by_a_table_that_has_seen_the_shell(tmp_path: Path) -> None:
    bench = Bench.lay_out(tmp_path)
    bench.plan(live_s=60)
    argv = [str(bench.program), "plotters", "chiapos", "-k18", "-t", str(bench.tmp), "-d", str(bench.dst)]
    table = ProcessTable()
    table.newcomers(set())
    become = [sys.executable, "-c", "import os, sys; input(); os.execv(sys.argv[1], sys.argv[1:])", *argv]
    with subprocess.Popen(become, stdin=subprocess.PIPE, text=True, env=marked(tmp_path)) as child:
        try:
            for _ in range(3):  # while nothing new comes
                assert not [it for it in table.newcomers(set()) if it.pid == child.pid], "not yet a plotter"
            assert child.stdin is not None
            print(file=child.stdin, flush=True)
            eventually(lambda: [it for it in table.newcomers(set()) if it.pid == child.pid], "found")
        finally:
            child.kill()


def test_newcomers_are_found_where_the_kernel_tells_nothing_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_last_pid", lambda: b"1")  # lxcfs tells it late, gVisor never
    monkeypatch.setattr(processes, "_LIST_S", 0.2)
    bench = Bench.lay_out(tmp_path)
    bench.plan(live_s=60)
    argv = [str(bench.program), "plotters", "chiapos", "-k18", "-t", str(bench.tmp), "-d", str(bench.dst)]
    table = ProcessTable()
    for _ in range(3):
        table.newcomers(set())
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, env=marked(tmp_path)) as child:
        try:
            eventually(lambda: [it for it in table.newcomers(set()) if it.pid == child.pid], "found")
        finally:
            child.kill()


def test_a_plotter_whose_parent_is_not_to_be_seen_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As for what `docker exec` starts: its parent is outside of the container.
    monkeypatch.setattr(psutil.Process, "ppid", lambda _: 0)
    bench = Bench.lay_out(tmp_path)
    bench.plan(live_s=60)
    argv = [str(bench.program), "plotters", "chiapos", "-k18", "-t", str(bench.tmp), "-d", str(bench.dst)]
    table = ProcessTable()
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as child:
        try:
            eventually(lambda: [it for it in table.newcomers(set()) if it.pid == child.pid], "found", 5)
        finally:
            child.kill()
