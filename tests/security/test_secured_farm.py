"""A farm of three machines under the users and certificates of `plotman farm secrets`, making real plots."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from common.names import Role
from common.store import Board
from plotter_worker.state.operator import OperatorStateFile
from tests.support.farm import plotters_of
from tests.support.ports import free_port
from tests.support.sections import SCHEDULING, small_plots
from tests.support.secured import Machines, Secured
from tests.support.waiting import eventually

FLOWER_SECRET = "flower-secret-word"


@pytest.fixture
def machines(tmp_path: Path, chia: Path, chia_root: Path, tls_server: str) -> Iterator[Machines]:
    secured = Secured(tmp_path / "secrets")
    secured.make("--plotter", "p1", "--harvester", "h1", "--scheduler", "boss", "--viewer", "eye")
    secured.start(tls_server)
    made = Machines(tmp_path, secured, {"CHIA_ROOT": str(chia_root)})
    for name in ("tmp", "dst", "drives/1"):
        (tmp_path / name).mkdir(parents=True)
    made.configure(
        "p1",
        logging={"plots": str(tmp_path / "logs")},
        directories={"tmp": [str(tmp_path / "tmp")], "dst": [str(tmp_path / "dst")]},
        scheduling=SCHEDULING,
        plotting=small_plots(chia),
        archiving={"target": "harvester"},
    )
    made.configure(
        "h1",
        harvester={
            "drives": [str(tmp_path / "drives" / "*")],
            "plain_folders": True,
            "margin_bytes": 1_000_000,
            "receiver_address": "127.0.0.1",
            "receiver_port": 0,
        },
    )
    made.configure(
        "boss",
        farm={"flower": True, "flower_port": free_port(), "flower_auth": f"farmer:{FLOWER_SECRET}"},
    )
    made.configure("eye", farm={"scheduler": False})
    yield made
    made.stop()
    for plotter in plotters_of(tmp_path / "p1" / "state"):
        plotter.kill()
    secured.stop()


def _archived(machines: Machines) -> list[Path]:
    return sorted(machines.folder.glob("drives/*/plot-*.plot"))


def _command_lines(machines: Machines) -> str:
    """Of all processes of the farm, as anybody on the machine may read them."""
    lines = []
    for process in machines.processes:
        try:
            tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            lines += [" ".join(each.cmdline()) for each in tree]
        except psutil.Error:
            continue
    return "\n".join(lines)


class Eavesdropper:
    """What passes through the server, as an administrator would see it."""

    def __init__(self, admin: redis.Redis) -> None:
        self.heard: list[str] = []
        self._admin = admin  # it closes its connections when it is forgotten
        self._monitor = admin.monitor()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            with self._monitor as monitor:
                for command in monitor.listen():
                    self.heard.append(str(command["command"]))
        except (redis.RedisError, OSError, ValueError):
            return  # the server ended


def test_a_plot_is_made_and_archived_nothing_is_denied_and_no_secret_is_seen(machines: Machines) -> None:
    secured = machines.secured
    eavesdropper = Eavesdropper(secured.admin())
    OperatorStateFile(machines.folder / "p1" / "state").change(lambda state: state.pausing_after(1))
    for name in ("h1", "p1", "boss"):
        machines.up(name)
    command_lines = []

    def archived() -> bool:
        command_lines.append(_command_lines(machines))
        return len(_archived(machines)) == 1

    eventually(archived, "the plot is on its drive", 120, every_s=0.2)
    eventually(lambda: not list(machines.folder.glob("dst/*")), "the sources are deleted")

    board = Board.connect(secured.url("eye"))
    words = [board.last_words(role) for role in Role]
    assert [sorted(each) for each in words] == [["p1"], ["p1"], ["h1"]]
    assert not [problem for each in words for snapshot, _ in each.values() for problem in snapshot.problems]

    status = machines.run("eye", "plotman", "status")
    assert status.returncode == 0, status.stderr
    pong = machines.run("boss", "celery", "-A", "plotman", "inspect", "-t", "10", "-d", "plotter@p1", "ping")
    assert "pong" in pong.stdout, pong.stderr
    assert machines.run("boss", "plotman", "pause", "plotting", "--host", "p1").returncode == 0
    with secured.admin() as admin:
        denied = [(entry["username"], entry["object"], entry["reason"]) for entry in admin.acl_log()]
    assert denied == []

    shutdown = machines.run("p1", "celery", "-A", "plotman", "control", "shutdown")
    assert shutdown.returncode != 0
    assert machines.run("p1", "plotman", "status").returncode == 4

    machines.stop()
    seen = {
        "command lines": "\n".join(command_lines),
        "what passes through Redis": "\n".join(eavesdropper.heard),
        "the verbs' output": status.stdout + status.stderr + pong.stdout + shutdown.stderr,
    } | {
        str(path): path.read_text(encoding="utf-8", errors="replace")
        for path in machines.folder.rglob("*.log")
    }
    assert any("plotter@p1" in text for text in command_lines)
    assert any("plotter_worker.plot" in command for command in eavesdropper.heard)
    for secret in (*secured.passwords(), FLOWER_SECRET):
        assert [place for place, text in seen.items() if secret in text] == []
