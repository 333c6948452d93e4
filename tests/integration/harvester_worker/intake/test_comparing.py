"""While the file of the plot's name is compared with the source: changes, a stopped worker, what is shown."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.errors import TransferFailed
from common.model.messages import Delivery
from common.store import Board
from common.worker.digests import read_digest
from common.worker.move_step import Doing, StepInterrupted, never
from harvester_worker.drives import digests, readback
from harvester_worker.intake import content as content_check
from harvester_worker.intake.reserve import ReserveOrder
from plotter_worker.archiving.transfer import source_digest
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.archiving.transfer.source_digest import digest_of
from tests.support.site import HERE, THERE, Machines, changed_in_place, changed_in_secret

pytestmark = pytest.mark.plotter


@pytest.mark.parametrize("change", [changed_in_place, changed_in_secret])
def test_a_file_that_changes_while_it_is_compared_is_no_copy(
    plotter: Machines,
    drive: Path,
    source: Path,
    change: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is the plot while it is read, and another before its source is deleted."""
    copy = Path(shutil.copy(source, drive))
    delivery = plotter.send(plotter.reserve(source))

    def compare_then_change(*arguments: Any, **options: Any) -> None:
        readback.compare(*arguments, **options)
        change(copy)

    monkeypatch.setattr(content_check, "compare", compare_then_change)
    plotter.site.farm.admitter.challenges = 0
    with pytest.raises(TransferFailed, match="changed during its checks"):
        plotter.admit(delivery)
    assert source.exists()


class Meddler:
    """Asked whether to stop, changes the file that is being read."""

    def __init__(self, path: Path) -> None:
        self.path, self.done = path, False

    def is_set(self) -> bool:
        if not self.done:
            self.done = True
            changed_in_place(self.path)
        return False


def test_a_source_that_is_changed_while_it_is_read_is_compared_again(
    plotter: Machines, drive: Path, source: Path
) -> None:
    shutil.copy(source, drive)
    with pytest.raises(TransferFailed, match="changed while it was read"):
        plotter.archiver.send(plotter.reserve(source), lambda _: None, Meddler(source))


class Leaving:
    """A worker that is stopped."""

    def is_set(self) -> bool:
        return True


def test_a_worker_that_leaves_during_the_comparison_leaves_all_as_it_was(
    machines: Machines, drive: Path, source: Path
) -> None:
    machines.site.farm.admitter.challenges = 0
    original = source.read_bytes()
    copy = Path(shutil.copy(source, drive))
    reservation = machines.reserve(source)

    with pytest.raises(StepInterrupted):
        machines.archiver.send(reservation, lambda _: None, Leaving())
    delivery = machines.send(reservation)
    with pytest.raises(StepInterrupted):
        machines.site.intake.admit(delivery, Leaving())

    assert source.read_bytes() == copy.read_bytes() == original
    assert digests.admitted(str(drive), copy.name) is None
    assert machines.reserve(source).compare  # from the start
    machines.archive(source)


def test_the_reading_of_the_source_is_told_like_a_transfer(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_digest, "_REPORT_EVERY_S", 1e-9)
    told: list[TransferProgress] = []

    digest_of(source, told.append, never)

    assert told[-1].done_bytes == source.stat().st_size
    assert (told[-1].percent, told[-1].eta_s) == (100, None)  # as rsync shows it once all is sent
    assert told[-1].rate_bytes_s > 0


def test_plotter_and_harvester_show_the_comparison(
    plotter: Machines, drive: Path, source: Path, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(source, drive)
    reservation = plotter.reserve(source)
    doing, told, shown = Doing(), [], []
    monkeypatch.setattr(plotter.archiver, "_show", lambda transfer, _="": shown.append(transfer))
    delivery = plotter.send(reservation)
    real = content_check.compare

    def watched(*arguments: Any, **named: Any) -> None:
        real(*arguments, **named)
        told.append(doing.text)

    monkeypatch.setattr(content_check, "compare", watched)
    plotter.site.farm.admitter.admit(delivery, doing=doing)

    assert (shown[0].compares, shown[-1]) == (True, None)
    assert told == [f"is compared with the file of its name on {drive}: 100 %"]
    assert doing.text is None


def test_a_plot_on_a_read_only_drive_is_not_read(
    farm: Callable[..., Any],
    mounted_drive: Callable[[int], Path],
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drive = mounted_drive(64 << 20)
    harvester = farm(drive, mounted=True)
    shutil.copy(source, drive)
    order = ReserveOrder(host=HERE, source_host=THERE, path=str(source), size_bytes=source.stat().st_size)
    delivery = Delivery(reservation=harvester.reserver.reserve(order), digest=read_digest(source, never))
    monkeypatch.setattr(content_check, "compare", lambda *_, **__: pytest.fail("it was read"))
    subprocess.run(["mount", "-o", "remount,ro", drive], check=True)

    with pytest.raises(TransferFailed, match="read-only"):
        harvester.admitter.admit(delivery)
