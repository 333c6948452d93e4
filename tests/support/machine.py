"""One machine of a farm in a lab, with a plotman.yaml of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.support.installed import from_wheel
from tests.support.lab import Host
from tests.support.waiting import eventually
from tests.support.wrong_clock import by_clock


class Machine:
    """A host on which `plotman up` runs."""

    def __init__(self, host: Host, settings: dict[str, Any], environment: dict[str, str]) -> None:
        self.host = host
        self.name = host.name
        self.settings = settings
        self.log = host.folder / "up.log"
        self._config = host.folder / "plotman.yaml"
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
        self._config.write_text(yaml.safe_dump(self.settings), encoding="utf-8")
        argv = from_wheel("plotman", "up")
        if ahead_s:
            argv = by_clock(ahead_s, self.host.folder, *argv)
        self._up = self.host.spawn(*argv, log=self.log, **self._environment)

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
