"""Answers that another machine forged in a harvester's place: no file of the plotter is touched."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from common.model.pending import PendingMove
from common.model.plot_name import plot_id_of
from common.model.snapshot import PlotState
from common.names import REFUSE, RELEASE, TRANSFER, Keys
from common.system.delivered import DeliveredFile
from harvester_worker.receiver.identity import make_identity
from harvester_worker.receiver.receivers import Receivers
from tests.support.farm import HOST, Farm
from tests.support.waiting import eventually

pytestmark = pytest.mark.plotter

EVIL = "evil1"
SECRET = "S3cret_" + "x" * 36


class Victim:
    """The archiver of a farm, sent to by somebody with a harvester's rights in Redis."""

    def __init__(self, farm: Farm, source: Path, plots: int) -> None:
        self.farm = farm
        farm.configure(harvester=None, scheduling={"global_max_jobs": 0})
        self.home = farm.folder / "home"
        self.home.mkdir()
        for name in ("plotman.yaml", "server.crt", "dotdot"):
            (self.home / name).write_text(f"untouched {name}")
        self.plots = []
        for number in range(plots):
            name = source.name.replace(plot_id_of(source.name) or "", f"{number:064x}")
            self.plots.append(Path(shutil.copy(source, farm.folder / "dst" / "1" / name)))
        farm.up()
        eventually(lambda: "archiver" in farm.pids(), "the archiver runs")
        self.app = farm.client()

    def transfer(self, plot: Path, ordered: bool = True, **changes: Any) -> str:
        """Put the order to send this plot on the queue of the archiver. Returns its id. ordered: whether beat
        has ordered the move."""
        part = self.home / ".incoming" / f"{plot_id_of(plot.name)}.part"
        reservation: dict[str, Any] = {
            "version": 1,
            "host": EVIL,
            "source_host": HOST,
            "path": str(plot),
            "size_bytes": plot.stat().st_size,
            "drive": str(self.home),
            "part": str(part),
            "move": "m1",
        }
        if ordered:
            self.farm.board().put_ordered(HOST, str(plot), "m1", str(changes.get("host", EVIL)))
        sent = self.app.send_task(
            TRANSFER, args=[reservation | changes], kwargs={"host": HOST}, queue=f"archive.{HOST}"
        )
        return str(sent.id)

    def ticket(self, plot: Path, **changes: Any) -> None:
        ticket = {
            "plot_id": plot_id_of(plot.name),
            "address": "127.0.0.1",
            "port": 8730,
            "module": "fd4acfd500803f95",
            "password": SECRET,
            "certificate": None,
            "failure": None,
        }
        with redis.Redis.from_url(self.farm.url) as client:
            client.set(
                Keys.ticket(EVIL, HOST, plot_id_of(plot.name) or ""), json.dumps(ticket | changes), ex=600
            )

    def refusal(self, task_id: str) -> str:
        """What the board shows of this transfer."""
        told = eventually(
            lambda: [event for event in self.farm.events("transfer-failed") if event.task_id == task_id],
            "the transfer fails",
        )
        return str(told[0].text)

    def log(self) -> str:
        """All that the farm's processes logged."""
        files = [self.farm.folder / "up.log", *self.farm.state.rglob("*.log"), *self.farm.logs.rglob("*.log")]
        return "".join(path.read_text() for path in files)

    def move(self, plot: Path) -> PendingMove:
        moves = self.farm.board().moves([HOST])[HOST]
        return next(move for move in moves if move.path == str(plot))

    def state(self) -> dict[str, tuple[int, bytes]]:
        """Everything beside the state, logs and sources of the plotter."""
        return {
            str(path): (path.stat().st_ino, path.read_bytes())
            for path in sorted(self.home.rglob("*"))
            if path.is_file()
        }


def test_a_forged_ticket_touches_no_file_and_costs_its_own_transfer_only(
    farm: Farm, real_plot: Path, tmp_path: Path
) -> None:
    victim = Victim(farm, real_plot, 5)
    archiver, before = farm.pids()["archiver"], victim.state()
    home = victim.home
    above = "../" * len(farm.state.parts)
    certificate = make_identity().certificate
    forged: list[tuple[str, dict[str, Any]]] = [
        ("module", {"module": str(home / "plotman.yaml")}),
        ("module", {"module": f"{above}{str(home / 'dotdot').lstrip('/')}"}),
        ("module", {"module": str(home / "server"), "certificate": certificate}),
        ("port", {"port": 22}),
    ]

    for (field, changes), plot in zip(forged, victim.plots, strict=False):
        victim.ticket(plot, **changes)
        said = victim.refusal(victim.transfer(plot))
        assert victim.state() == before
        assert f"Harvester {EVIL}: The ticket is not one that a harvester writes ({field})." in said
        move = victim.move(plot)
        assert (move.attempts, move.harvester) == (1, EVIL)
        assert move.retry_at is not None, "it is tried again"
        assert plot.exists()

    assert list((farm.state / "tickets").glob("*")) == []
    assert SECRET not in victim.log()
    assert "Traceback" not in victim.log()

    # The same archiver sends the next plot through a harvester's own receiver.
    plot = victim.plots[-1]
    part = tmp_path / "drive" / ".incoming" / f"{plot_id_of(plot.name)}.part"
    part.parent.mkdir(parents=True)
    part.touch()
    receivers = Receivers(tmp_path / "receivers", "127.0.0.1", 0, lambda _: None)
    try:
        drive, size_bytes = str(tmp_path / "drive"), plot.stat().st_size
        ticket = receivers.open(plot_id_of(plot.name) or "", HOST, drive, part, "m1", size_bytes)
        farm.board().put_ticket("good1", HOST, ticket)
        task = victim.transfer(plot, host="good1", drive=drive, part=str(part))
        eventually(lambda: farm.status_of(task) == "SUCCESS", "the next plot is sent")
    finally:
        receivers.stop()
    assert part.read_bytes() == plot.read_bytes()
    assert farm.pids()["archiver"] == archiver


def test_a_forged_reservation_or_task_touches_no_file_and_the_workers_go_on(
    farm: Farm, real_plot: Path
) -> None:
    victim = Victim(farm, real_plot, 1)
    (plot,) = victim.plots
    (victim.home / ".incoming").mkdir()
    (victim.home / ".incoming" / "x.part").write_text("untouched part")
    (victim.home / ".incoming" / f"{plot_id_of(plot.name)}.part").symlink_to(victim.home / "plotman.yaml")
    archiver, plotter, before = farm.pids()["archiver"], farm.pids()["plotter"], victim.state()
    here: dict[str, Any] = {"host": HOST}

    assert "is a symbolic link" in victim.refusal(victim.transfer(plot, **here))
    other = str(victim.home / ".incoming" / "x.part")
    assert f"Harvester {EVIL} reserved a file that is not the part" in victim.refusal(
        victim.transfer(plot, part=other)
    )
    # The move is known by now: what cannot be read is counted and tried again.
    for field, value in (
        ("part", "../x.part"),
        ("size_bytes", -1),
        ("took_s", float("inf")),
        ("move", "a\nb"),
    ):
        attempts = victim.move(plot).attempts
        said = victim.refusal(victim.transfer(plot, **{field: value}))
        assert f"cannot be read: The task's arguments are wrong: {field}: " in said
        assert victim.move(plot).attempts == attempts + 1
    for message in ([1], {"cls": 1}, {"path": {}}, {}):
        sent = victim.app.send_task(TRANSFER, args=[message], kwargs={"host": HOST}, queue=f"archive.{HOST}")
        eventually(lambda id=sent.id: farm.status_of(id) == "FAILURE", "it is refused")
    order = victim.app.send_task(
        "plotter_worker.plot",
        kwargs={"host": HOST},
        queue=f"plotter.{HOST}",
        task_id="../../../home/x",
    )
    eventually(lambda: farm.status_of(order.id) == "FAILURE", "an id that is a path is refused")
    assert "task's id" in str(farm.result(order.id))

    assert victim.state() == before
    victim.app.send_task(
        REFUSE,
        kwargs={"host": HOST, "path": str(plot), "reason": "\x1b[2J\n" + "x" * 5000},
        queue=f"plotter.{HOST}",
    )
    refused = eventually(
        lambda: [one.reason for one in farm.plotter().plots if one.state is PlotState.REFUSED], "it is told"
    )
    assert refused[0].isprintable()
    assert len(refused[0]) <= 1000
    assert "Traceback" not in victim.log()
    assert (farm.pids()["archiver"], farm.pids()["plotter"]) == (archiver, plotter)


def test_a_harvester_has_no_plot_deleted_that_beat_did_not_order_it_to_get(
    farm: Farm, real_plot: Path
) -> None:
    """Another harvester claims that h1, or a host that does not exist, has the plot already."""
    victim = Victim(farm, real_plot, 1)
    (plot,) = victim.plots
    landed = {"drive": "/mnt/farm", "landed": f"/mnt/farm/{plot.name}", "part": None, "compare": True}
    for host in ("h1", "nobody"):
        sent = victim.transfer(plot, ordered=False, host=host, **landed)
        eventually(lambda sent=sent: farm.status_of(sent) == "FAILURE", "no transfer begins")
        assert f"No beat has ordered that {plot} goes to {host}" in str(farm.result(sent))
        reservation = {
            "version": 1,
            "host": host,
            "source_host": HOST,
            "path": str(plot),
            "size_bytes": plot.stat().st_size,
            "move": "m1",
        }
        admission = {
            "version": 1,
            "reservation": reservation | landed,
            "landed": landed["landed"],
            "size_bytes": plot.stat().st_size,
            "verified": "30 challenges, 27 proofs, all valid",
        }
        victim.app.send_task(RELEASE, args=[admission], kwargs={"host": HOST}, queue=f"plotter.{HOST}")
        eventually(
            lambda host=host: victim.log().count(f"No beat has ordered that {plot} goes to {host}") >= 2,
            "nothing is released",
        )
    # Of a move that beat did order, the harvester itself must say that it has taken the plot in.
    farm.board().put_ordered(HOST, str(plot), "m1", "honest1")
    admission["reservation"]["host"] = "honest1"
    victim.app.send_task(RELEASE, args=[admission], kwargs={"host": HOST}, queue=f"plotter.{HOST}")
    eventually(lambda: f"honest1 itself does not say that it has taken in {plot}" in victim.log(), "refused")
    # And the bytes that it has taken in must be those that were sent from here: others may have been put into
    # its part under this plot's name.
    DeliveredFile(farm.state).put(str(plot), "honest1", plot.lstat(), "0f" * 16)
    farm.board().put_admitted("honest1", HOST, "m1", str(plot), "f0" * 16)
    # Operators see the refusal of a message that fits the plot's move, and of no other.
    given = {"path": str(plot), "harvester": "honest1", "size_bytes": 1, "expires_at": datetime.now(UTC)}
    for move, step in (("m2", "release"), ("m1", "admit"), ("m1", "release")):
        record = PendingMove.model_validate(given | {"move": move, "step": step})
        farm.board().put_move(HOST, record)
        before = victim.log().count("honest1 itself does not say")
        victim.app.send_task(RELEASE, args=[admission], kwargs={"host": HOST}, queue=f"plotter.{HOST}")
        eventually(
            lambda before=before: victim.log().count("honest1 itself does not say") > before, "refused"
        )
        shown = "honest1 itself does not say" in (victim.move(plot).reason or "")
        assert shown == ((move, step) == ("m1", "release"))
    assert plot.exists()
    farm.board().put_admitted("honest1", HOST, "m1", str(plot), "0f" * 16)
    victim.app.send_task(RELEASE, args=[admission], kwargs={"host": HOST}, queue=f"plotter.{HOST}")
    eventually(lambda: not plot.exists(), "what it has taken in is released")
    eventually(lambda: not farm.board().moves([HOST]), "its move is over")
    refused = victim.log().count("No beat has ordered")
    again = victim.app.send_task(RELEASE, args=[admission], kwargs={"host": HOST}, queue=f"plotter.{HOST}")
    eventually(lambda: again.id in victim.log(), "it comes a second time")
    assert victim.log().count("No beat has ordered") == refused
    assert not [copied for copied in farm.plotter().plots if copied.copied_to]
