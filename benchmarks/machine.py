"""A plotter's machine, as far as a plotman sees it: folders, a fake plotter, a process table of its own.

Of its own, so that plotman and its peer can run side by side in the same minutes and neither sees the
other's plots: 0.5.3 takes every plotter on the machine for its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks import ours, peer
from benchmarks.realistic import MILESTONE, full_log

OURS = ours.NAME
ROOT = ours.ROOT
_FARMER = "aa" * 48
HOST = "bench"


@dataclass(frozen=True)
class Machine:
    """folder: all of it; made by lay_out."""

    folder: Path
    tmp: int = 1

    def lay_out(self, **plan: Any) -> Machine:
        """Make the folders and the plotter; `plan`: what it does, see fake_chia.py."""
        for number in range(max(1, self.tmp)):
            (self.folder / "tmp" / f"{number:02}").mkdir(parents=True)
        for name in ("dst/00", "logs", "bin", "peer/plotman"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        # 0.5.3 knows a script only by an interpreter that is called `python`.
        (self.folder / "bin" / "python").symlink_to(Path(sys.executable).resolve())
        script = Path(__file__).with_name("fake_chia.py").read_text(encoding="utf-8")
        self.chia.write_text(f"#!{self.chia.with_name('python')}\n{script}", encoding="utf-8")
        self.chia.chmod(0o755)
        log = self.folder / "plotter.log"
        log.write_bytes(full_log())
        plan = {"log": str(log), "begins": MILESTONE, "line_s": None} | plan
        (self.chia.with_name("plan.json")).write_text(json.dumps(plan), encoding="utf-8")
        return self

    def configure(self, polling_s: int = 20, max_jobs: int = 1, most: int = 100, **ours: Any) -> None:
        """Write plotman.yaml for both. ours: more sections for ours, or changes of sections."""
        content: dict[str, Any] = {
            "version": [2],
            "logging": {"plots": str(self.folder / "logs")},
            "directories": {"tmp": self.tmp_dirs, "dst": [str(self.folder / "dst" / "00")]},
            "scheduling": {
                "tmpdir_stagger_phase_major": 2,
                "tmpdir_stagger_phase_minor": 1,
                "tmpdir_stagger_phase_limit": 1,
                "tmpdir_max_jobs": max_jobs,
                "global_max_jobs": most,
                "global_stagger_m": 0,
                "polling_time_s": polling_s,
            },
            "plotting": {
                "type": "chia",
                "farmer_pk": _FARMER,
                "pool_pk": _FARMER,
                "chia": {"executable": str(self.chia), "k": 32, "n_threads": 2, "job_buffer": 3389},
            },
        }
        peer.config_file(self.folder / "peer").write_text(yaml.safe_dump(content), encoding="utf-8")
        content["farm"] = {"host": HOST, "state": str(self.folder / "state"), "flower": False}
        content["scheduling"]["check_room"] = False  # nothing is written by a fake
        for section, values in ours.items():
            content[section] = content.get(section, {}) | values
        self.config.write_text(yaml.safe_dump(content), encoding="utf-8")

    @property
    def chia(self) -> Path:
        return self.folder / "bin" / "chia"

    @property
    def config(self) -> Path:
        return self.folder / "plotman.yaml"

    @property
    def tmp_dirs(self) -> list[str]:
        return [str(self.folder / "tmp" / f"{number:02}") for number in range(max(1, self.tmp))]

    def plotter(self, number: int) -> dict[str, Any]:
        """A plotter as a user starts it, logging where plotmans look."""
        tmp = self.tmp_dirs[number % len(self.tmp_dirs)]
        argv = [
            str(self.chia),
            "plots",
            "create",
            "-k",
            "32",
            "-n",
            "1",
            "-r",
            "2",
            "-u",
            "128",
            "-b",
            "3389",
        ]
        argv += ["-t", tmp, "-d", str(self.folder / "dst" / "00"), "-f", _FARMER, "-p", _FARMER]
        name = f"2026-11-22T12_{number // 60:02}_{number % 60:02}.{number:06}+00_00.plot.log"
        return {"argv": argv, "log": str(self.folder / "logs" / name)}

    def command(self, subject: str, *verb: str) -> tuple[list[str], dict[str, str]]:
        """argv and environment of a verb of `subject`, by the command that its installation brings."""
        if subject == OURS:
            return [str(ours.program()), *verb], os.environ | {"PLOTMAN_CONFIG": str(self.config)}
        return [str(peer.program()), *verb], peer.environment(self.folder / "peer")

    @contextmanager
    def run(
        self, subject: str, *verb: str, jobs: int = 0, others: int = 0, pause_s: float = 0.0
    ) -> Iterator[Running]:
        """Let `subject` run in a process table of its own, beside plotters that a user started (`jobs`) and
        `others` processes that sleep; all of it ends with the block."""
        argv, environment = self.command(subject, *verb)
        plan = {
            "argv": argv,
            "environment": environment,
            "output": str(self.folder / "output"),
            "jobs": [self.plotter(number) for number in range(jobs)],
            "others": others,
            "pause_s": pause_s,
        }
        path = self.folder / "inside.json"
        path.write_text(json.dumps(plan), encoding="utf-8")
        process = subprocess.Popen(
            [*_own_table(), sys.executable, "-m", "benchmarks.inside", path],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
        )
        try:
            yield Running(process.pid, self)
        finally:
            process.kill()  # and the kernel ends all that is in the table
            process.wait()
            time.sleep(0.2)

    def notes(self, what: str) -> list[float]:
        """When (seconds since the epoch) its plotters did that: start, line or end; oldest first."""
        path = self.chia.with_name("notes")
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return sorted(note["at"] for line in lines if (note := json.loads(line))["what"] == what)


@dataclass(frozen=True)
class Running:
    """pid: of the first process, outside of the table."""

    pid: int
    machine: Machine

    def processes(self) -> dict[str, psutil.Process]:
        """The plotman's own processes, by name: `plot` of 0.5.3; plotter, beat, broker, ... of ours."""
        found = {}
        for process in psutil.Process(self.pid).children(recursive=True):
            try:
                name = _name(process.cmdline())
            except psutil.Error:
                continue
            if name:
                found[name] = process
        return found

    def plotters(self) -> int:
        """How many fakes have come as far as to note that they run."""
        return len(self.machine.notes("start"))


def _name(argv: Sequence[str]) -> str | None:
    """Which of a plotman's processes has this command line; None: none of them."""
    for word, name in _NAMES.items():
        # A server may write more behind its program's path, in one piece: `.../valkey-server 127.0.0.1:6379`.
        paths = [part.partition(" ")[0] for part in argv]
        if any(part.endswith(word) if word.startswith("/") else part.startswith(word) for part in paths):
            return name
    if "beat" in argv:
        return "beat"
    return "up" if argv[-1:] == ["up"] else None


_NAMES: Mapping[str, str] = {
    "benchmarks.inside": "",
    "plotter@": "plotter",
    "archiver@": "archiver",
    "harvester@": "harvester",
    "/valkey-server": "broker",
    "/.venv-peer/bin/plotman": "plot",
}


def used_s(processes: Mapping[str, psutil.Process]) -> dict[str, float]:
    """Processor seconds, its own and the kernel's, by name; children that ended included."""
    found = {}
    for name, process in processes.items():
        times = process.cpu_times()
        found[name] = times.user + times.system + times.children_user + times.children_system
    return found


def until(condition: Any, what: str, timeout_s: float = 60, every_s: float = 0.05) -> Any:
    """The first true value of `condition()`. Ends the benchmark with `what` when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise SystemExit(f"Not within {timeout_s:.0f} s: {what}.")
        time.sleep(every_s)
    return value


def _own_table() -> list[str]:
    unshare = shutil.which("unshare")
    if unshare is None:
        raise SystemExit("This benchmark needs `unshare` (Debian's util-linux).")
    return [unshare, "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"]
