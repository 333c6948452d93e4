"""Plotters that a user started: each is followed to its end, whatever its arguments, log and parents."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psutil

from common.model.snapshot import Job
from plotter_worker.processes.table import identity, open_output
from tests.support.bench import LOGS, PLAIN, Bench, running

K18 = "chiapos-k18"
# `chia plotters madmax`, which keeps back the plotter's last line, and its plotter, waiting midway.
WRAPPER = """
import subprocess, sys, time
from pathlib import Path
here = Path(sys.argv[0]).parent
with subprocess.Popen([here / "chia_plot", *sys.argv[3:]], stdout=subprocess.PIPE, text=True) as child:
    for line in child.stdout:
        if line.startswith("Renamed"):
            child.wait()
            while not (here / "pass on").exists():
                time.sleep(0.005)
        print(line, end="", flush=True)
"""
PLOTTER = f"""
import sys, time
from pathlib import Path
for line in Path({str(LOGS / "madmax-k18.log")!r}).open():
    while line.startswith("Phase 2 took") and not Path(sys.argv[0]).with_name("go on").exists():
        time.sleep(0.005)
    print(line, end="", flush=True)
"""


def by_hand(bench: Bench, log: str | None) -> Job | None:
    """The one by hand that writes this log, once that tells of its plot; None: the one without a log."""
    used = [job for job in bench.jobs if job.tmp == str(bench.tmp) and job.log == log]
    return next((job for job in used if job.plot_id or log is None), None)


def lay_out_wrapper(folder: Path) -> Path:
    """The wrapper, its plotter beside it."""
    folder.mkdir()
    for name, lines in (("chia_plot", PLOTTER), ("chia", WRAPPER)):
        program = folder / name
        program.write_text(f"#!{PLAIN}\n{lines}", encoding="utf-8")
        program.chmod(0o755)
    return program


def test_a_plotter_whose_arguments_and_log_are_no_utf8_is_followed_to_its_end(tmp_path: Path) -> None:
    bench = Bench.lay_out(tmp_path, scheduling={"global_max_jobs": 0})
    bench.plan(log=K18, hold="Computing table 3")
    log = os.fsencode(tmp_path) + b"/caf\xe9.log"
    with running(bench), open(log, "wb") as output:  # noqa: PTH123  pathlib takes no bytes
        bench.by_hand(output, "-x", b"caf\xe9")
        shown = str(tmp_path / "caf\N{REPLACEMENT CHARACTER}.log")
        job = bench.until(lambda: by_hand(bench, shown), "it is seen, its log is read")
        bench.snapshot.model_dump_json().encode()
        bench.go()
        bench.until(lambda: "plot-done" in bench.told_of(job), "its end is told")


def test_the_log_of_a_plotter_behind_chias_wrapper_is_the_wrappers_and_is_read_to_its_end(
    tmp_path: Path,
) -> None:
    bench = Bench.lay_out(tmp_path, scheduling={"global_max_jobs": 0})
    chia = lay_out_wrapper(tmp_path / "wrapped")
    arguments = ["-k", "18", "-t", f"{bench.tmp}/", "-d", f"{bench.dst}/"]
    log = tmp_path / "wrapper.log"
    with running(bench), log.open("wb") as output:
        wrapper = subprocess.Popen(
            [chia, "plotters", "madmax", *arguments], stdout=output, env=bench.farm.by_hand
        )
        bench.farm.processes.append(wrapper)
        try:
            job = bench.until(lambda: by_hand(bench, str(log)), "it is seen, its log is read")
            assert job.plotter == "madmax"
            assert job.pid != wrapper.pid
            (chia.parent / "go on").touch()
            bench.until(lambda: not psutil.pid_exists(job.pid), "it ends, its last line is not passed on")
            (chia.parent / "pass on").touch()
            bench.until(lambda: "plot-done" in bench.told_of(job), "the last line is read")
        finally:
            (chia.parent / "go on").touch()  # whatever failed, the plotter ends


def test_a_plotter_by_hand_whose_output_goes_nowhere_is_not_told_to_have_failed(tmp_path: Path) -> None:
    bench = Bench.lay_out(tmp_path, scheduling={"global_max_jobs": 0})
    bench.plan(log=K18, hold="Computing table 3")
    with running(bench):
        bench.by_hand()
        job = bench.until(lambda: by_hand(bench, None), "it is seen")
        bench.go()
        bench.until(
            lambda: bench.told_of(job) == {"plot-found", "plot-ended"}, "its end is told, and no more"
        )


def test_nothing_is_read_from_the_pipe_between_a_plotter_and_its_wrapper_when_the_log_is_deleted() -> None:
    with subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE) as piped:
        try:
            assert open_output(identity(piped.pid)) is None
        finally:
            piped.kill()
