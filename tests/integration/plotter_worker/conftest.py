"""A mover with its target's real scripts and the real rsync, but without Celery and Redis."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from common.config.model import Config
from common.errors import TransferFailed
from common.model.messages import Admission
from common.model.snapshot import Transfer
from common.worker.move_step import Stop, never
from plotter_worker.archiving.targets.definition import ArchiveTarget, target_of
from plotter_worker.archiving.targets.mover import ArchiverContext, Mover
from plotter_worker.archiving.targets.space import SpaceUnknown, TargetSpaceMonitor
from plotter_worker.archiving.targets.transfer_script import MARK
from plotter_worker.archiving.transfer.progress import TransferProgress
from tests.support.lacking import lacking
from tests.support.plots import write_plot
from tests.support.ports import free_port, listens
from tests.support.sections import SCHEDULING
from tests.support.waiting import eventually


@dataclass
class Site:
    """A plotter's machine and the drives of its target, in a folder; `df` lists only these drives."""

    folder: Path
    movers: list[Mover] = field(default_factory=list)
    shown: list[Transfer] = field(default_factory=list)
    progress: list[TransferProgress] = field(default_factory=list)
    published: int = 0

    @property
    def root(self) -> Path:
        return self.folder / "farm"

    @property
    def dst(self) -> Path:
        return self.folder / "dst"

    def drives(self, **free_bytes: int) -> None:
        """Mount drives with this free space, and no others."""
        for name in free_bytes:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        lines = [f"/dev/{name} 9 9 {free // 1024} 5% {self.root}/{name}" for name, free in free_bytes.items()]
        text = "\n".join(["Filesystem 1024-blocks Used Available Capacity Mounted on", *lines])
        self.program("df", f"cat <<'END'\n{text}\nEND")

    def program(self, name: str, lines: str) -> Path:
        """Put a shell script on the PATH."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)
        return path

    def target(self, **archiving: Any) -> ArchiveTarget:
        made = target_of(
            Config.model_validate(
                {
                    "version": [2],
                    "farm": {"host": "p1", "state": str(self.folder / "state")},
                    "directories": {"tmp": ["/tmp/1"]},
                    "scheduling": SCHEDULING,
                    "plotting": {"farmer_pk": "a", "pool_pk": "b"},
                    "archiving": archiving,
                }
            )
        )
        assert made is not None
        return made

    def mover(self, **archiving: Any) -> Mover:
        """`archiving` as in plotman.yaml."""
        target, owner = self.target(**archiving), str(self.folder / "state")
        context = ArchiverContext(
            host="p1",
            owner=owner,
            dirs=(str(self.dst),),
            log_dir=self.folder / "logs",
            show=lambda transfer, _: self.shown.append(transfer) if transfer else None,
            publish=self._publish,
        )
        space = TargetSpaceMonitor(
            target, owner, self.folder / "disk_spaces.log", lambda: None, deadline_s=5, every_s=0.2
        )
        made = Mover(target, space, context)
        self.movers.append(made)
        return made

    def _publish(self) -> None:
        self.published += 1

    def scripts(self, transfer: str, space: str | None = None) -> dict[str, Any]:
        """A target of the user's own, with these scripts."""
        definition = {
            "disk_space_script": space or f"#!/bin/sh\necho {self.root}/1:{10**12}\n",
            "transfer_script": f"#!/bin/sh\n{transfer}\n",
            "transfer_process_name": "no-such-program",
            "transfer_process_argument_prefix": "/no/such/place",
        }
        return {"target": "mine", "target_definitions": {"mine": definition}}

    def move(self, mover: Mover, plot: Path, stop: Stop = never, **coming: int) -> Admission:
        """coming: drive -> bytes that other hosts send there."""
        there = {str(self.root / name): size_bytes for name, size_bytes in coming.items()}
        return mover.move(str(plot), plot.stat().st_size, self.progress.append, stop, there)

    def failure(self, archiving: dict[str, Any], plot: Path) -> str:
        """Why the move fails; the source must be unchanged."""
        before = plot.read_bytes()
        with pytest.raises((TransferFailed, SpaceUnknown)) as raised:
            self.move(self.mover(**archiving), plot)
        assert plot.read_bytes() == before
        return str(raised.value)

    def marked(self) -> list[psutil.Process]:
        """Transfer scripts of this site that still run."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == str(self.folder / "state"):
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    if not shutil.which("rsync"):
        lacking("rsync is missing")
    for name in ("dst", "farm/1", "bin"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    made = Site(tmp_path)
    yield made
    for mover in made.movers:
        mover.stop()
    for process in made.marked():
        process.kill()


@pytest.fixture
def plot(site: Site) -> Path:
    """A finished plot in the plotter's dst folder."""
    return write_plot(site.dst)


@pytest.fixture
def daemon(site: Site) -> Iterator[Callable[..., dict[str, Any]]]:
    """Starts a real rsync daemon for the site's drives; returns the `archiving` of plotman.yaml for it. ssh
    runs its command on this machine."""
    started: list[subprocess.Popen[bytes]] = []
    site.program("ssh", 'shift 3; exec "$@"')

    def start(*settings: str, command: str = "rsync") -> dict[str, Any]:
        port = free_port()
        # Run by root, a daemon would write as nobody.
        who = ["uid = root", "gid = root"] if os.geteuid() == 0 else []
        module = ["[plots]", f"path = {site.root}", "read only = no", *settings]
        lines = ["use chroot = no", "address = 127.0.0.1", f"port = {port}", *who, *module]
        (site.folder / "rsyncd.conf").write_text("\n".join(lines) + "\n")
        argv = ["rsync", "--daemon", "--no-detach", f"--config={site.folder}/rsyncd.conf"]
        with (site.folder / "rsyncd.log").open("wb") as output:
            started.append(subprocess.Popen(argv, stdout=output, stderr=output))
        eventually(lambda: listens(port), "the rsync daemon answers", 10)
        env = {"user": "chia", "host": "127.0.0.1", "rsync_port": port, "command": command}
        return {"target": "rsyncd", "env": {**env, "site_root": str(site.root), "site": "plots"}}

    yield start
    for process in started:
        process.terminate()
        process.wait(timeout=10)
