"""Harvesters of a farm without beat: their workers run, and a desk asks them by the command line."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from common.model.plot_class import InventorySums
from common.model.snapshot import HarvesterSnapshot
from common.names import Role
from common.store import Board
from tests.support.installed import celery, from_wheel


class Harvesters:
    """Drives are folders below `folder`, in one named like the host."""

    def __init__(self, folder: Path, broker_url: str) -> None:
        self.folder = folder
        self.board = Board.connect(broker_url)
        self._url = broker_url
        self._workers: list[subprocess.Popen[bytes]] = []

    def start_worker(self, host: str, **more: Any) -> None:
        """Start the worker of a harvester. more: keys of its section."""
        drives = [str(path) for path in sorted((self.folder / host).iterdir())]
        section = {"drives": drives, "plain_folders": True, "proofs": 0, "receiver_port": 0} | more
        worker = ("worker", "-n", f"harvester@{host}", "-Q", f"harvester.{host}")
        with (self.folder / f"{host}.log").open("wb") as log:
            environment = self.environment(host, harvester=section)
            self._workers.append(
                subprocess.Popen(celery(*worker), env=environment, stdout=log, stderr=subprocess.STDOUT)
            )

    def stop(self) -> None:
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            worker.wait(timeout=30)

    def sums(self, host: str) -> InventorySums | None:
        snapshot = self.board.snapshots(Role.HARVESTER).get(host)
        assert snapshot is None or isinstance(snapshot, HarvesterSnapshot)
        return snapshot.inventory if snapshot else None

    def read(self, host: str) -> int:
        """Files that the harvester has read."""
        sums = self.sums(host)
        return sums.read if sums else 0

    def plotman(self, *words: str, code: int = 0, **sections: Any) -> subprocess.CompletedProcess[str]:
        """Run plotman on the desk. sections: of its plotman.yaml."""
        done = subprocess.run(
            from_wheel("plotman", *words),
            env=self.environment("desk", **sections),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        return done

    def environment(self, host: str, **sections: Any) -> dict[str, str]:
        farm = {"host": host, "broker": self._url, "state": str(self.folder / f"{host}-state")}
        path = self.folder / f"{host}.yaml"
        content = {"version": [2], "farm": farm, **sections}
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return os.environ | {"PLOTMAN_CONFIG": str(path)}
