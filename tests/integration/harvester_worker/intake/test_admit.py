"""What comes between while a plot is taken in, which may take minutes."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import Ignore

from common import config
from common.errors import TransferFailed
from common.store import Board
from common.worker.move_step import never
from harvester_worker import service
from harvester_worker.drives import part_files
from harvester_worker.intake import admit
from harvester_worker.intake.reserve import ReserveOrder
from harvester_worker.intake.verify import Proved
from harvester_worker.tasks import archive
from tests.support.site import HERE, THERE, Site, id_of

pytestmark = pytest.mark.plotter

Changed = Callable[[Path], contextlib.AbstractContextManager[None]]

SETTINGS = """\
version: [2]
farm: {{host: {host}, state: {folder}/state, broker: "{broker}"}}
harvester: {{drives: ["{folder}/drive"], plain_folders: true, receiver_port: 0}}
"""


class Checks:
    """Stands for the proofs: `begun` is set when they begin, and they end with `done`."""

    def __init__(self) -> None:
        self.begun, self.done = threading.Event(), threading.Event()

    def prove(self, *_: Any) -> Proved:
        self.begun.set()
        assert self.done.wait(30)
        return Proved("all valid", 1)


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Checks]:
    made = Checks()
    monkeypatch.setattr(admit, "prove", made.prove)
    yield made
    made.done.set()


def test_a_plot_that_is_being_checked_is_not_cut_by_an_order_to_send_it_anew(
    site: Site, source: Path, checks: Checks
) -> None:
    delivery = site.send(source, site.intake.reserve(site.order(source)))
    part = Path(delivery.reservation.part or "")

    with ThreadPoolExecutor() as pool:
        admission = pool.submit(site.intake.admit, delivery, never)
        assert checks.begun.wait(30)
        with pytest.raises(TransferFailed, match="being taken in"):
            site.intake.reserve(site.order(source, "two"))  # the notice board was wiped
        assert part.stat().st_size == source.stat().st_size
        checks.done.set()
        landed = admission.result(30).landed

    assert Path(landed).read_bytes() == source.read_bytes()
    assert site.intake.reserve(site.order(source, "three")).landed == landed


def test_an_order_for_a_plot_that_is_being_checked_is_ignored(
    tmp_path: Path, drive: Path, source: Path, board: Board, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "plotman.yaml"
    file.write_text(SETTINGS.format(host=HERE, folder=tmp_path, broker=broker_url))
    harvester = service.Harvester(config.load(file), board)
    monkeypatch.setattr(service.served, "_now", harvester)
    order = ReserveOrder(
        host=HERE,
        source_host=THERE,
        path=str(source),
        size_bytes=source.stat().st_size,
        move="two",
        door=False,
    )

    with harvester.intake._locks.taking_in(id_of(source)), pytest.raises(Ignore):
        archive.reserve(**order.kwargs())

    assert board.moves([THERE]).get(THERE, []) == []
    assert part_files.parts(str(drive)) == []
    assert archive.reserve(**order.kwargs())["part"]
    harvester.intake.stop()
    harvester.drives.probe.close()


@contextlib.contextmanager
def shortened(part: Path) -> Iterator[None]:
    os.truncate(part, part.stat().st_size - 1)
    yield


@contextlib.contextmanager
def open_for_writing(part: Path) -> Iterator[None]:
    with part.open("ab"):
        yield


@pytest.mark.parametrize("changed", [shortened, open_for_writing])
def test_a_part_that_somebody_changes_during_its_checks_gets_no_plots_name(
    site: Site, drive: Path, source: Path, checks: Checks, changed: Changed
) -> None:
    delivery = site.send(source, site.intake.reserve(site.order(source)))
    part = Path(delivery.reservation.part or "")

    with ThreadPoolExecutor() as pool:
        admission = pool.submit(site.intake.admit, delivery, never)
        assert checks.begun.wait(30)
        with changed(part):
            checks.done.set()
            with pytest.raises(TransferFailed):
                admission.result(30)

    assert list(drive.glob("*.plot")) == []
    assert part.exists()
