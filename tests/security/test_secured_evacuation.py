"""A drive is evacuated from one harvester to another, each with its own password, by TLS: nothing is
denied."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.names import Role
from common.store import Board
from tests.support.secured import Machines, Secured
from tests.support.waiting import eventually


@pytest.fixture
def machines(tmp_path: Path, tls_server: str) -> Iterator[Machines]:
    secured = Secured(tmp_path / "secrets")
    secured.make("--harvester", "h1", "--harvester", "h2", "--scheduler", "boss", "--viewer", "eye")
    secured.start(tls_server)
    made = Machines(tmp_path, secured)
    for name in ("h1", "h2"):
        drive = tmp_path / f"{name}-drive"
        drive.mkdir()
        made.configure(
            name,
            harvester={
                "drives": [str(drive)],
                "plain_folders": True,
                "margin_bytes": 1_000_000,
                "receiver_address": "127.0.0.1",
                "receiver_port": 0,
            },
        )
    made.configure("boss")
    made.configure("eye", farm={"scheduler": False})
    yield made
    made.stop()
    secured.stop()


@pytest.mark.timeout(300)
def test_with_the_rights_of_harvesters_a_drive_is_evacuated_and_its_archiver_leaves_no_trace(
    machines: Machines, real_plot: Path
) -> None:
    secured = machines.secured
    old, new = (machines.folder / f"{name}-drive" for name in ("h1", "h2"))
    shutil.copy(real_plot, old)
    for name in ("h1", "h2", "boss"):
        machines.up(name)
    board = Board.connect(secured.url("eye"))
    eventually(lambda: board.snapshots(Role.HARVESTER).keys() == {"h1", "h2"}, "both are there", 60)

    viewer = machines.run("eye", "plotman", "evacuate", f"h1:{old}", "--yes")
    assert viewer.returncode == 4, viewer.stdout
    with secured.admin() as admin:
        admin.acl_log_reset()
    ran = machines.run("boss", "plotman", "evacuate", f"h1:{old}", "--yes", "--bandwidth", "100M")
    assert ran.returncode == 0, ran.stderr

    def moved() -> bool:
        return (new / real_plot.name).exists() and not (old / real_plot.name).exists()

    eventually(moved, "the plot has moved", 120)
    assert (new / real_plot.name).read_bytes() == real_plot.read_bytes()
    eventually(lambda: not board.last_words(Role.ARCHIVER), "its archiver has ended, and is not lost", 60)
    status = machines.run("eye", "plotman", "status").stdout
    assert "archiver" not in status
    with secured.admin() as admin:
        denied = [(entry["username"], entry["object"], entry["reason"]) for entry in admin.acl_log()]
    assert denied == []
