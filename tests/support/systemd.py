"""A real systemd for the tests: its user manager in namespaces of its own, so that units start, restart and
stop as they do on a farmer's machine, and nothing of this machine is touched."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

import psutil

from tests.support.waiting import eventually

MANAGER = Path("/lib/systemd/systemd")
_HIERARCHIES = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")

# Pid 1 of the namespaces. The manager asks for /run/systemd/system; programs are put where the units look
# for them; cgroups of its own keep it from the machine's.
_INIT = """
set -eu
folder=$1 programs=$2; shift 2
mount -t tmpfs none /run
mkdir -p /run/systemd/system
mount -t tmpfs none /opt
mkdir /opt/plotman
mount --bind "$programs" /opt/plotman
for cgroup in "$@"; do echo $$ > "$cgroup/cgroup.procs"; done
export HOME="$folder/home" XDG_CONFIG_HOME="$folder/home/.config" XDG_RUNTIME_DIR="$folder/run"
/lib/systemd/systemd --user --log-target=console &
wait $!
"""


def why_not() -> str | None:
    """Why no systemd can be had here; None where it can."""
    if os.geteuid() != 0:
        return "systemd in namespaces of its own needs root"
    for program in ("unshare", "nsenter", "systemctl", str(MANAGER)):
        if shutil.which(program) is None:
            return f"{program} is missing (apt-get install systemd util-linux)"
    if not any(os.access(Path(h, "cgroup.procs"), os.W_OK) for h in _HIERARCHIES):
        return "no cgroups may be made here"
    return None


class Systemd:
    """folder: of the test's own. programs: what the units find as /opt/plotman."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder = folder
        self._units = folder / "home/.config/systemd/user"
        self._units.mkdir(parents=True)
        (folder / "run").mkdir(mode=0o700)
        (self._units / "default.target").write_text("[Unit]\nDescription=nothing\n")
        name = f"plotman-test-{secrets.token_hex(4)}"  # pids are counted anew in each namespace
        self._cgroups = [Path(h, name) for h in _HIERARCHIES if Path(h, "cgroup.procs").exists()]
        for cgroup in self._cgroups:
            cgroup.mkdir()
        self.log = folder / "systemd.log"
        with self.log.open("wb") as output:
            self._outer = subprocess.Popen(
                [
                    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
                    *("--propagation", "private", "bash", "-c", _INIT, "init"),
                    *map(str, (folder, programs, *self._cgroups)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        eventually(self._answers, "systemd's manager answers")

    def _answers(self) -> bool:
        assert self._outer.poll() is None, self.log.read_text(errors="replace")
        return bool(self._inner()) and self._systemctl("list-units").returncode == 0

    def _inner(self) -> list[psutil.Process]:
        return psutil.Process(self._outer.pid).children()

    def _systemctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        run = f"XDG_RUNTIME_DIR={self._folder / 'run'}"
        inside = ("nsenter", "-t", str(self._inner()[0].pid), "-m", "-p")
        return subprocess.run(
            [*inside, "env", run, "systemctl", "--user", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def add(self, unit: Path, **environment: str) -> None:
        """Install a unit as it is, but for what belongs to the machine: user, configuration, folders."""
        shutil.copy(unit, self._units)
        changes = self._units / f"{unit.name}.d" / "test.conf"
        changes.parent.mkdir()
        lines = [
            "[Service]",
            "User=",
            "Group=",
            "StateDirectory=",
            "PrivateTmp=no",
            f"WorkingDirectory={self._folder}",
        ]
        lines += [f'Environment="{name}={value}"' for name, value in environment.items()]
        changes.write_text("\n".join(lines) + "\n")
        self("daemon-reload")

    def __call__(self, *arguments: str) -> str:
        """systemctl; fails the test where it fails."""
        ran = self._systemctl(*arguments)
        assert ran.returncode == 0, f"systemctl {' '.join(arguments)}: {ran.stderr}{self.log.read_text()}"
        return ran.stdout

    def shown(self, unit: str, key: str) -> str:
        """A property of a unit, as `systemctl show` has it."""
        return self("show", "--value", "--property", key, unit).strip()

    def close(self) -> None:
        """End everything in it, and remove its cgroups."""
        for process in self._inner():
            process.send_signal(signal.SIGKILL)  # pid 1 of the namespace: the kernel ends the rest
        self._outer.wait(timeout=20)
        for cgroup in self._cgroups:
            for folder in sorted(cgroup.glob("**/"), reverse=True):
                eventually(lambda folder=folder: _removed(folder), f"{folder} is left")


def _removed(cgroup: Path) -> bool:
    try:
        cgroup.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # its last process is still being reaped
        return False
    return True
