"""What an archiver sends, what it remembers and says of it, and how soon."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from common.config import Config
from common.config.loader import load
from common.errors import OrderRefused, TransferFailed
from common.model.messages import Reservation, TargetOrder
from common.model.pending import MoveStep
from common.model.plot_name import plot_id_of
from common.names import Role
from common.store import Board
from common.system.delivered import DeliveredFile
from common.worker.digests import read_digest
from common.worker.move_step import Step, never
from plotter_worker.archiving.archiver import Archiver
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.archiving.transfer.rsync import MARK
from tests.support.plots import PLOT_BYTES, write_plot
from tests.support.waiting import eventually

HERE, THERE = "plotter1", "harvester1"


class Host:
    """A plotter's machine: its plotman.yaml, and its archiver that runs."""

    def __init__(self, board: Board, folder: Path) -> None:
        self.folder, self.board = folder, board
        self.dst, self.farm, self.state = folder / "dst", folder / "farm", folder / "state"
        for made in (self.dst, self.farm):
            made.mkdir()
        self.archiver: Archiver | None = None

    def configure(self, archiving: str = "{}", dst: Path | None = None) -> Config:
        config = self.folder / "plotman.yaml"
        config.write_text(
            f"version: [2]\nfarm: {{host: {HERE}, state: {self.state}}}\n"
            f"logging: {{plots: {self.folder / 'logs'}, transfers: {self.folder / 'transfers'}}}\n"
            f"directories: {{tmp: [{self.folder / 'tmp'}], dst: [{dst or self.dst}]}}\n"
            "scheduling: {tmpdir_stagger_phase_major: 2, tmpdir_stagger_phase_minor: 1, tmpdir_max_jobs: 1,"
            " global_max_jobs: 1, global_stagger_m: 0, polling_time_s: 20}\n"
            f"plotting: {{type: chiapos, pool_pk: aa, farmer_pk: bb}}\narchiving: {archiving}\n",
            encoding="utf-8",
        )
        return load(config)

    def start(self, archiving: str = "{}") -> Archiver:
        self.archiver = Archiver(self.configure(archiving), self.board)
        self.archiver.start()
        return self.archiver

    def reserved(self, plot: Path, **answer: Any) -> Reservation:
        size_bytes, path = plot.stat().st_size, str(plot)
        return Reservation(
            host=HERE, source_host=HERE, path=path, size_bytes=size_bytes, drive=str(self.farm), **answer
        )

    def with_part(self, plot: Path) -> Reservation:
        """The answer of a harvester on this machine that has reserved a part."""
        part = self.farm / ".incoming" / f"{plot_id_of(plot.name)}.part"
        part.parent.mkdir(exist_ok=True)
        part.touch()
        return self.reserved(plot, part=str(part))


@pytest.fixture
def host(board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("PLOTMAN_CONFIG", str(tmp_path / "plotman.yaml"))
    made = Host(board, tmp_path)
    yield made
    if made.archiver is not None:
        made.archiver.stop()


@pytest.fixture
def archiver(host: Host) -> Archiver:
    return host.start()


def _sent(path: str) -> Step:
    return Step(
        step=MoveStep.TRANSFER,
        plotter=HERE,
        harvester=THERE,
        path=path,
        size_bytes=1,
        host=HERE,
        task_id=None,
        plot_id=None,
        next=MoveStep.ADMIT,
    )


def test_the_board_has_each_sent_plot_at_once(board: Board, archiver: Archiver) -> None:
    heard, took_s = board.last_event_id(), []
    for number in range(4):
        began_s = time.monotonic()
        archiver.moves.hand_over(_sent(f"/dst/{number}"), {})
        (event_id, event), *_ = board.events(heard, wait_s=5)
        took_s.append(time.monotonic() - began_s)
        assert (event.kind, event.host) == ("sent", HERE)
        heard = event_id

    # On a busy machine one may take longer; a pause between two would hold up three of the four.
    assert sorted(took_s)[1] < 0.5, f"until then no harvester is told to take the plot in: {took_s}"


def test_a_digest_that_is_known_saves_reading_the_source_only_where_it_was_taken_in(
    host: Host, archiver: Archiver
) -> None:
    """rsync may have computed it in another way than the harvester, which compares."""
    plot, known = write_plot(host.dst), "0f" * 16
    DeliveredFile(host.state).put(str(plot), HERE, plot.lstat(), known)

    again = archiver.send(host.reserved(plot, landed="/farm/a.plot"), lambda _: None, never)
    assert (again.digest, again.sent_bytes, again.took_s) == (known, 0, 0)
    compared = archiver.send(host.reserved(plot, landed="/farm/a.plot", compare=True), lambda _: None, never)
    assert compared.digest == read_digest(plot, never)
    first = write_plot(host.dst)
    read = archiver.send(host.reserved(first, landed="/farm/b.plot"), lambda _: None, never)
    assert read.digest == read_digest(first, never)
    sent = archiver.send(host.with_part(plot), lambda _: None, never)
    assert sent.sent_bytes == PLOT_BYTES, "the harvester lost what it had"


def test_a_plot_that_is_being_sent_is_known_by_its_id_under_any_path(
    host: Host, archiver: Archiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    plot, other = write_plot(host.dst), write_plot(host.dst)
    seen: list[tuple[bool, ...]] = []
    really = archiver._sender.send

    def send(source: Path, *about: Any) -> Any:
        assert archiver.sends(str(plot)), "before the first byte"
        return really(source, *about)

    def look(progress: TransferProgress) -> None:
        paths = (str(plot), f"/elsewhere/{plot.name}", str(other), "/dst/notes.txt")
        seen.append(tuple(archiver.sends(path) for path in paths))
        (transfer,) = archiver._snapshot().transfers
        assert transfer.sent_bytes == progress.done_bytes

    monkeypatch.setattr(archiver._sender, "send", send)
    delivery = archiver.send(host.with_part(plot), look, never)
    assert seen[-1] == (True, True, False, False)
    assert not archiver.sends(str(plot))
    assert DeliveredFile(host.state).digest(str(plot), HERE, plot.lstat()) == delivery.digest


def test_a_transfer_is_recorded_in_the_history(host: Host, archiver: Archiver) -> None:
    plot = write_plot(host.dst)
    with archiver.history.trying(str(plot), HERE, "task") as delivered:
        delivered(archiver.send(host.with_part(plot), lambda _: None, never))
    eventually(lambda: archiver.history.tally().day_bytes == PLOT_BYTES, "it is recorded", 10)


def test_the_farm_learns_at_once_that_a_transfer_begins_and_ends_but_not_of_each_percent(
    host: Host, archiver: Archiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    for name in ("changed", "progressed", "publish_now"):
        monkeypatch.setattr(archiver._publisher, name, lambda name=name: told.append(name))
    archiver.send(host.with_part(write_plot(host.dst)), lambda _: None, never)
    assert (told[0], {*told[1:-1]}, told[-1]) == ("changed", {"progressed"}, "publish_now")


def test_a_start_ends_transfers_and_deletes_passwords_of_a_killed_archiver(host: Host) -> None:
    password = host.state / "tickets" / "left"
    password.parent.mkdir(parents=True)
    password.touch()
    program = host.folder / "rsync"
    shutil.copy(shutil.which("sleep") or "", program)
    started = [
        subprocess.Popen([program, "60"], env={MARK: owner}, start_new_session=True)
        for owner in (str(host.state), "/another/state")
    ]
    try:
        for process in started:
            eventually(psutil.Process(process.pid).environ, "it is started")
        host.start()
        assert not password.exists()
        assert [process.poll() is None for process in started] == [False, True]
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_nothing_runs_after_a_stop(host: Host) -> None:
    before = set(threading.enumerate())
    archiver = host.start(TARGET.replace("{farm}", str(host.farm)))
    eventually(lambda: HERE in host.board.snapshots(Role.ARCHIVER), "it is on the board", 10)
    archiver.stop()
    host.archiver = None
    eventually(lambda: not set(threading.enumerate()) - before, "its threads have ended", 10)


def test_a_plot_that_cannot_be_sent_is_not_taken_for_sent(host: Host, archiver: Archiver) -> None:
    plot = write_plot(host.dst)
    reservation = host.with_part(plot)
    Path(reservation.part or "").unlink()
    with pytest.raises(TransferFailed, match="its reservation expired"):
        archiver.send(reservation, lambda _: None, never)
    assert not archiver.sends(str(plot))
    assert not DeliveredFile(host.state).has(str(plot), HERE, plot.lstat())

    plot.unlink()
    with pytest.raises(TransferFailed, match=r"cannot be read \(No such file or directory\)"):
        archiver.send(reservation, lambda _: None, never)


TARGET = """
  target: mine
  target_definitions:
    mine:
      disk_space_script: "#!/bin/sh\\necho {farm}:1000000000\\n"
      transfer_script: "#!/bin/sh\\ncp \\"$source\\" \\"$destination/\\"\\n"
      transfer_process_name: no-such-program
      transfer_process_argument_prefix: /no/such/place
"""


def test_what_a_target_has_got_is_remembered_until_the_source_is_released(host: Host) -> None:
    archiver, plot = host.start(TARGET.replace("{farm}", str(host.farm))), write_plot(host.dst)
    assert archiver.target is not None
    eventually(lambda: archiver.target and archiver.target.report.spaces, "its free space is asked for", 10)

    order = TargetOrder(host=HERE, path=str(plot))
    admission = archiver.send_to_target(archiver.target, order, lambda _: None, never)

    assert admission.landed == f"{host.farm}/{plot.name}"
    assert DeliveredFile(host.state).has(str(plot), "target mine", plot.lstat())
    assert not archiver.sends(str(plot))
    with pytest.raises(OrderRefused, match="not in a tmp or dst directory"):
        archiver.send_to_target(
            archiver.target, TargetOrder(host=HERE, path=str(write_plot(host.folder))), lambda _: None, never
        )


@pytest.mark.parametrize("archiving", ["{}", TARGET], ids=["harvester", "target"])
def test_a_changed_plotman_yaml_adds_directories_of_plots_and_drops_none(host: Host, archiving: str) -> None:
    archiving = archiving.replace("{farm}", str(host.farm))
    archiver, new = host.start(archiving), host.folder / "new"
    new.mkdir()
    before, after = write_plot(host.dst), write_plot(new)

    def send(plot: Path) -> None:
        if archiver.target is None:
            archiver.send(host.with_part(plot), lambda _: None, never)
        else:
            order = TargetOrder(host=HERE, path=str(plot))
            archiver.send_to_target(archiver.target, order, lambda _: None, never)

    with pytest.raises(OrderRefused, match="not in a tmp or dst directory"):
        send(after)
    host.configure("{bwlimit_bytes_s: 80000000}" if archiving == "{}" else archiving, new)

    def is_sent() -> bool:
        try:
            send(after)
        except OrderRefused:
            return False
        return True

    eventually(is_sent, "the new directory counts", 20)
    send(before)
    assert archiver._snapshot().bandwidth_bytes_s == (80_000_000 if archiving == "{}" else None)
