"""`plotman up` in a folder of the benchmark's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from celery import Celery

from benchmarks.machine import ROOT, until
from common.config.broker_url import embedded_broker
from common.names import Role
from common.store import Board


@dataclass(frozen=True)
class Farm:
    """A running one. folder: where its plotman.yaml lies. url: of its broker. pid: of `plotman up`."""

    folder: Path
    host: str
    url: str
    pid: int

    def board(self) -> Board:
        return Board.connect(self.url)

    def client(self) -> Celery:
        """What only sends tasks."""
        app = Celery("client", broker=self.url, backend=self.url)
        app.conf.broker_transport_options = {"priority_steps": [0]}
        return app

    def processes(self) -> dict[str, psutil.Process]:
        """What it keeps running, by the names of `plotman up`."""
        found = {"up": psutil.Process(self.pid)}
        for process in found["up"].children():
            words = process.cmdline()
            named = [word.partition("@")[0] for word in words if "@" in word]
            found[named[0] if named else "beat" if "beat" in words else "broker"] = process
        return found


@contextmanager
def up(folder: Path, host: str = "bench", broker: str | None = None, **sections: Any) -> Iterator[Farm]:
    """Run what these sections of plotman.yaml ask for, until the block ends; plotters are not ended with it.

    folder: made here. broker: another one's; None brings one along.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / "state"
    farm = {"host": host, "state": str(state), "flower": False} | ({"broker": broker} if broker else {})
    content = {"version": [2], "farm": farm | sections.pop("farm", {})} | sections
    config = folder / "plotman.yaml"
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    with (folder / "up.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "plotman", "up"],
            cwd=ROOT,
            env=os.environ | {"PLOTMAN_CONFIG": str(config)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        until(lambda: broker or embedded_broker(state), "the broker has an address")
        address = embedded_broker(state)
        url = broker or (address.url if address else "")
        wanted = [role for role, section in _SECTIONS.items() if section in content]
        until(lambda: _are_up(url, host, wanted), f"all of {host} are up: see {folder / 'up.log'}", 90)
        yield Farm(folder, host, url, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


_SECTIONS = {Role.PLOTTER: "plotting", Role.ARCHIVER: "archiving", Role.HARVESTER: "harvester"}


def _are_up(url: str, host: str, roles: list[Role]) -> bool:
    from common.errors import BrokerError

    board = Board.connect(url)
    try:
        return all(host in board.snapshots(role) for role in roles)
    except BrokerError:
        return False
    finally:
        board.close()
