"""One machine of a farm in a lab, with a plotman.yaml of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.support.installed import python
from tests.support.lab import Host
from tests.support.namespaces import call
from tests.support.waiting import eventually
from tests.support.wrong_clock import by_clock


class Machine:
    """A host on which `plotman up` runs."""

    def __init__(
        self,
        host: Host,
        settings: dict[str, Any],
        environment: dict[str, str],
        folder: Path | None = None,
        user: int | None = None,
    ) -> None:
        """
        Args:
            folder: Of plotman.yaml; None: the host's.
            user: Who runs plotman, a uid without rights of root; None: root.
        """
        self.host = host
        self.name = host.name
        self.settings = settings
        self.user = user
        self.python: Path | None = None  # of another plotman than the tests' own
        folder = folder or host.folder
        self.log = folder / "up.log"
        self._config = folder / "plotman.yaml"
        self._environment = environment | {"PLOTMAN_CONFIG": str(self._config)}
        self._up: int | None = None
        self.state.mkdir(parents=True, exist_ok=True)

    @property
    def state(self) -> Path:
        """plotman's own files, as seen from outside."""
        return self._seen(self.settings["farm"]["state"])

    def _seen(self, path: str) -> Path:
        """While it is off, a drive's mount point is an empty folder."""
        return self.host.seen(path) if self.host.is_on else Path(path)

    def up(self, ahead_s: float = 0) -> None:
        """Write plotman.yaml and start all that it asks for. ahead_s: how wrong the machine's clock is."""
        self.configure()
        argv = as_user(self.user, self._plotman("up"))
        if ahead_s:
            argv = by_clock(ahead_s, self.host.folder, *argv)
        self._up = self.host.spawn(*argv, log=self.log, **self._environment)

    def configure(self) -> None:
        """Write plotman.yaml, which running processes follow."""
        self._config.write_text(yaml.safe_dump(self.settings), encoding="utf-8")

    def belongs_to(self, user: int) -> None:
        """Let this user run plotman from the next start on, and own what it writes to."""
        self.user = user
        drives = [self.host.seen(drive.path) for drive in self.host.drives.values()]
        call("chown", "-R", f"{user}:{user}", self.state.parent, self.state)
        call("chown", f"{user}:{user}", *drives)
        # Another plotman's plots may come and go on them meanwhile.
        call("chown", "-R", f"{user}:{user}", *drives, check=False)

    def run(self, *words: str) -> str:
        """What a verb of the command line prints there, both streams."""
        given = (f"{name}={value}" for name, value in self._environment.items())
        argv = self.host.argv("env", *given, *self._plotman(*words))
        ran = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
        return ran.stdout + ran.stderr

    def _plotman(self, *words: str) -> list[str]:
        return [str(self.python or python()), "-m", "plotman", *words]

    def down(self) -> None:
        """Stop `plotman up` as its users do."""
        assert self._up is not None
        os.kill(self._up, signal.SIGTERM)
        eventually(lambda: not Path(f"/proc/{self._up}").exists(), f"plotman of {self.name} ends", 30)

    def children(self) -> dict[str, int]:
        """Name -> pid on its host, of what `plotman up` keeps running."""
        try:
            return {each["name"]: each["pid"] for each in json.loads(self._children.read_text())}
        except (FileNotFoundError, ValueError):
            return {}

    @property
    def _children(self) -> Path:
        return self.state / "up.children.json"

    def kill(self, name: str) -> None:
        """Kill one of its processes, and wait until another has taken its place."""
        pid = self.signal(name, 9)
        eventually(lambda: self.children().get(name, pid) != pid, f"{name} of {self.name} starts again", 60)

    def signal(self, name: str, number: int) -> int:
        """Signal one of its processes, once it runs; returns its pid."""
        pid = int(eventually(lambda: self.children().get(name), f"{name} of {self.name} runs", 60) or 0)
        self.host.kill(pid, number)
        return pid

    def power_cut(self) -> None:
        """Off at once; what was not on disk is lost."""
        self.host.crash()

    def boot(self, ahead_s: float = 0) -> None:
        """Power is back, and plotman starts with the machine. ahead_s: how wrong its clock is then."""
        self.host.on()
        self._children.unlink(missing_ok=True)  # what runs is known by pid, and pids begin anew
        self.up(ahead_s)


class Plotter(Machine):
    """tmp, dst: mount points."""

    tmp: tuple[Path, ...]
    dst: Path

    @property
    def logs(self) -> Path:
        """The plotters' logs, as seen from outside."""
        return self._seen(self.settings["logging"]["plots"])


class Harvester(Machine):
    """drives: name -> mount point."""

    drives: dict[str, Path]

    def plots(self, drive: str) -> list[str]:
        """Names of the plots on a drive that is there."""
        return sorted(path.name for path in self.host.seen(self.drives[drive]).glob("*.plot"))

    def parts(self) -> list[Path]:
        """Part files on the drives that are there, as seen from outside."""
        seen = (self.host.seen(path) for path in self.drives.values())
        return [part for path in seen for part in path.glob(".incoming/*.part")]


def as_user(user: int | None, argv: list[str]) -> list[str]:
    """The argv of a process of this user, who finds the files of the tests: they are in folders of root."""
    if user is None:
        return argv
    may_read = ("--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search")
    securebits = "--securebits=+no_setuid_fixup"  # else access(2) forgets it
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *may_read, securebits, *argv]
