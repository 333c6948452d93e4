"""The way of a plot off its drive: it goes to another drive, and its own file is never taken for the copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from common.errors import NoRoom, OrderRefused, TransferFailed
from common.model.messages import Delivery, EvacuateOrder, Reservation
from common.model.pending import MoveStep
from common.store import Board
from common.system.delivered import DeliveredFile
from common.worker.move_step import Step, never
from harvester_worker.drives import digests, evacuated, part_files
from harvester_worker.drives.digests import DigestEntry
from harvester_worker.drives.plot_index import PlotIndex
from harvester_worker.evacuation.orders import KeptOrders
from harvester_worker.intake.reserve import ReserveOrder
from harvester_worker.intake.resume import drop_superseded
from plotter_worker.tasks import archive
from tests.support.bench import small_drive
from tests.support.site import HERE, THERE, Machines, Site, id_of

DIGEST = "0f" * 16


class Leaving:
    """A plot on the drive `old` of this harvester, which is evacuated, and drives with room."""

    def __init__(self, folder: Path, board: Board, farm: Callable[..., Any], real_plot: Path) -> None:
        self.old, self.new, self.third = (folder / name for name in ("old", "new", "third"))
        self.folder = self.old / "folder"
        self.folder.mkdir()
        self.farm = farm(self.old, self.folder, self.new, self.third)
        self.site = Site(self.farm, board, folder)
        self.sender = Machines(self.site, HERE)
        self.plot = Path(shutil.copy(real_plot, self.old))
        order = KeptOrders(folder / "state").add(EvacuateOrder(host=HERE, dir=str(self.old)), 1, 1)
        evacuated.mark(str(self.old), order.id)

    def reserve(self, source_host: str = HERE, **changes: Any) -> Reservation:
        order = self.site.order(self.plot).model_copy(
            update={"source_host": source_host, "evacuates": True, "door": False, **changes}
        )
        return self.site.intake.reserve(order)

    def has(self, drive: Path, ours: bool = True) -> Path:
        """Put a copy there, by another way. ours: this harvester took it in."""
        copy = drive / self.plot.name
        if copy != self.plot:
            shutil.copy(self.plot, copy)
        part_files.prepare(str(drive))
        if ours:
            digests.write(str(drive), copy.name, DigestEntry.of(copy, DIGEST))
        return copy


@pytest.fixture
def leaving(tmp_path: Path, board: Board, farm: Callable[..., Any], real_plot: Path) -> Iterator[Leaving]:
    with ExitStack() as mounted:
        for name in ("old", "new", "third"):
            mounted.enter_context(small_drive(tmp_path / name, "60m"))
        made = Leaving(tmp_path, board, farm, real_plot)
        yield made
        made.sender.archiver.stop()
        made.site.intake.stop()


def test_a_plot_goes_to_another_file_system_and_comes_in_there(leaving: Leaving) -> None:
    leaving.has(leaving.old)  # this very file was taken in once
    reservation = leaving.reserve()
    assert (reservation.landed, reservation.drive) == (None, str(leaving.new))
    assert reservation.evacuates
    admission = leaving.site.intake.admit(leaving.sender.send(reservation), never)
    assert Path(admission.landed).read_bytes() == leaving.plot.read_bytes()
    assert admission.landed == str(leaving.new / leaving.plot.name)
    assert leaving.plot.exists()


def test_a_plot_that_was_taken_in_on_its_drive_leaves_it(leaving: Leaving) -> None:
    """Of any other plot this index says that it must not be sent anywhere else."""
    leaving.farm.reserver._plot_index.put(id_of(leaving.plot), str(leaving.old))
    assert leaving.reserve().drive == str(leaving.new)


def test_without_another_drive_there_is_no_room(leaving: Leaving) -> None:
    with pytest.raises(NoRoom) as refused:
        leaving.reserve(drives=("/elsewhere",))
    assert f"{leaving.old}: is evacuated" in str(refused.value)
    assert f"{leaving.folder}: is on one file system with the evacuated drive" in str(refused.value)
    with pytest.raises(OrderRefused, match="lies on the drive"):
        leaving.reserve(evacuates=False)


def test_only_the_named_drives_get_it(leaving: Leaving) -> None:
    assert leaving.reserve(drives=(str(leaving.third),)).drive == str(leaving.third)


def test_a_copy_on_the_same_file_system_is_none(leaving: Leaving) -> None:
    leaving.has(leaving.folder)
    assert leaving.reserve().landed is None


def test_a_copy_on_a_drive_that_is_evacuated_too_is_none(leaving: Leaving) -> None:
    leaving.has(leaving.new)
    evacuated.mark(str(leaving.new), "of anybody")
    reservation = leaving.reserve()
    assert (reservation.landed, reservation.drive) == (None, str(leaving.third))


@pytest.mark.parametrize("ours", [True, False])
def test_a_copy_on_a_drive_that_stays_is_compared_and_not_sent_again(leaving: Leaving, ours: bool) -> None:
    copy = leaving.has(leaving.new, ours)
    reservation = leaving.reserve()
    assert (reservation.landed, reservation.compare) == (str(copy), not ours)


def test_a_shared_folder_of_another_machine_is_the_evacuated_drive_itself(leaving: Leaving) -> None:
    """Another machine evacuates what is one of our drives, by another path."""
    leaving.has(leaving.old)
    reservation = leaving.reserve(source_host=THERE)
    assert (reservation.landed, reservation.drive) == (None, str(leaving.folder))
    evacuated.mark(str(leaving.folder), "x")
    assert leaving.reserve(source_host=THERE, move="two").drive != str(leaving.old)


def test_a_plot_that_lies_on_no_drive_of_ours_does_not_leave_one(leaving: Leaving) -> None:
    with pytest.raises(OrderRefused, match="is not a drive of"):
        leaving.reserve(path=f"/elsewhere/{leaving.plot.name}")


def test_a_copy_on_a_drive_that_is_evacuated_meanwhile_is_not_admitted(leaving: Leaving) -> None:
    leaving.has(leaving.new)
    delivery = leaving.sender.send(leaving.reserve())
    evacuated.mark(str(leaving.new), "of anybody")
    with pytest.raises(TransferFailed, match="is evacuated"):
        leaving.site.intake.admit(delivery, never)


def test_a_plot_that_arrived_on_a_drive_that_is_evacuated_meanwhile_goes_elsewhere(leaving: Leaving) -> None:
    delivery = leaving.sender.send(leaving.reserve())
    evacuated.mark(str(leaving.new), "of anybody")
    with pytest.raises(TransferFailed, match="is evacuated"):
        leaving.site.intake.admit(delivery, never)
    assert leaving.reserve().drive == str(leaving.third)


def test_a_copy_that_appeared_meanwhile_stops_the_admission(leaving: Leaving) -> None:
    delivery = leaving.sender.send(leaving.reserve())
    leaving.has(leaving.third)
    with pytest.raises(TransferFailed, match="appeared while the plot was sent"):
        leaving.site.intake.admit(delivery, never)


def test_the_part_of_a_plot_on_its_way_is_not_superseded_by_its_source(leaving: Leaving) -> None:
    leaving.has(leaving.old)
    part = Path(leaving.reserve().part or "")
    index = PlotIndex()
    index.put(id_of(leaving.plot), str(leaving.old))
    drop_superseded(leaving.farm.drives, index, leaving.farm.drives.refresh())
    assert part.exists()
    leaving.has(leaving.third)
    index.put(id_of(leaving.plot), str(leaving.third))
    drop_superseded(leaving.farm.drives, index, leaving.farm.drives.refresh())
    assert not part.exists(), "it is complete on a third drive"


@pytest.mark.parametrize(
    ("case", "stays"),
    [
        ("failed", False),
        ("of a plotter", True),
        ("of another drive", True),
        ("full", True),
        ("written", True),
    ],
)
def test_a_plot_that_failed_does_not_keep_the_next_one_s_place(
    leaving: Leaving, case: str, stays: bool
) -> None:
    """Of one drive one plot after the other leaves: a part of another one of its plots is of no use."""
    folder = leaving.third if case == "of another drive" else leaving.old
    failed = ReserveOrder(
        host=HERE,
        source_host=THERE if case == "of a plotter" else HERE,
        path=f"{folder}/plot-k18-2026-11-22-15-48-{1:064x}.plot",
        size_bytes=100_000,
        evacuates=case != "of a plotter",
        drives=(str(leaving.new),),
        door=False,
    )
    part = Path(leaving.site.intake.reserve(failed).part or "")
    part.write_bytes(bytes(100_000 if case == "full" else 50_000))
    if case == "written":
        with part.open("ab"):
            drive = leaving.reserve().drive
    else:
        drive = leaving.reserve().drive
    assert part.exists() is stays
    assert drive == str(leaving.third if stays else leaving.new)


def test_a_plotter_s_plots_may_come_side_by_side(leaving: Leaving) -> None:
    parts = []
    for number in (1, 2):
        path = f"/dst/plot-k18-2026-11-22-15-48-{number:064x}.plot"
        order = ReserveOrder(host=HERE, source_host=THERE, path=path, size_bytes=100_000, door=False)
        parts.append(Path(leaving.site.intake.reserve(order).part or ""))
        parts[-1].write_bytes(bytes(50_000))
    assert [part.exists() for part in parts] == [True, True]


def test_the_archiver_sends_only_from_drives_whose_evacuation_is_ordered(leaving: Leaving) -> None:
    reservation = leaving.reserve()
    KeptOrders(leaving.site.folder / "state").remove(str(leaving.old))
    with pytest.raises(OrderRefused, match="is not in a tmp or dst directory"):
        leaving.sender.send(reservation)


def test_a_transfer_that_has_not_begun_when_an_operator_ends_the_evacuation_never_begins(
    leaving: Leaving,
) -> None:
    archiver, orders = leaving.sender.archiver, KeptOrders(leaving.site.folder / "state")
    step = Step.of(leaving.reserve(), MoveStep.TRANSFER, "task")
    assert archive._not_needed(archiver, step) is None
    orders.change(str(leaving.old), ending=True)
    assert archive._not_needed(archiver, step) == "the evacuation of its drive was ended"
    delivered = DeliveredFile(leaving.site.folder / "state")
    delivered.put(str(leaving.plot), HERE, leaving.plot.lstat(), DIGEST)
    assert archive._not_needed(archiver, step) is None, "what was sent is taken in, and leaves"


def test_a_plain_move_does_not_look_at_marks(leaving: Leaving, tmp_path: Path) -> None:
    """A plotter's plot that an evacuated drive has: it is not sent, since that copy will not be lost."""
    copy = leaving.has(leaving.old)
    order = leaving.site.order(leaving.plot).model_copy(update={"path": f"/dst/{leaving.plot.name}"})
    assert leaving.site.intake.reserve(order).landed == str(copy)
    delivery = Delivery(reservation=leaving.site.intake.reserve(order), digest=DIGEST)
    assert leaving.site.intake.admit(delivery, never).landed == str(copy)
