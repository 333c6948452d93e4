"""A drive has a file of the plot's name already. The source goes only where all bytes of it are the same."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.config.loader import load
from common.errors import OrderRefused, PlotRefused, TransferFailed
from common.model.messages import Admission, Delivery, Reservation
from common.model.snapshot import DriveUse
from common.store import Board
from common.worker.digests import read_digest
from common.worker.move_step import Doing, StepInterrupted, never
from harvester_worker.drives import digests, part_files, readback
from harvester_worker.intake import admit
from harvester_worker.intake.reserve import ReserveOrder
from plotter_worker.archiving.archiver import Archiver
from plotter_worker.archiving.transfer import source_digest
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.archiving.transfer.source_digest import digest_of
from plotter_worker.directories.release import release
from plotter_worker.state.delivered import DeliveredFile
from tests.support import formats
from tests.support.site import HERE, THERE, Site

pytestmark = pytest.mark.plotter


class Machines:
    """A harvester and a plotter, on two machines or on one (`plotter` is then the harvester's own name)."""

    def __init__(self, site: Site, plotter: str) -> None:
        self.site, self.plotter = site, plotter
        text = site.config.read_text(encoding="utf-8")
        site.config.write_text(text.replace(f"host: {THERE}", f"host: {plotter}"), encoding="utf-8")
        self.archiver = Archiver(load(site.config), site.board)
        self.archiver.start()
        self.moves = 0

    def reserve(self, source: Path) -> Reservation:
        self.moves += 1
        order = self.site.order(source, str(self.moves)).model_copy(update={"source_host": self.plotter})
        return self.site.intake.reserve(order)

    def send(self, reservation: Reservation) -> Delivery:
        return self.archiver.send(reservation, lambda _: None, never)

    def admit(self, delivery: Delivery) -> Admission:
        return self.site.intake.admit(Delivery.read(**delivery.kwargs()), never)

    def archive(self, source: Path) -> Admission:
        """The whole way; the source is released at its end."""
        admission = self.admit(self.send(self.reserve(source)))
        assert self.release(admission, source)
        return admission

    def release(self, admission: Admission, source: Path) -> bool:
        delivered = DeliveredFile(self.site.folder / "state")
        return release(Admission.read(**admission.kwargs()), [str(source.parent)], delivered.has)


@pytest.fixture(params=[HERE, THERE], ids=["one machine", "receiver"])
def machines(site: Site, request: pytest.FixtureRequest) -> Iterator[Machines]:
    made = Machines(site, request.param)
    yield made
    made.archiver.stop()


@pytest.fixture
def plotter(site: Site) -> Iterator[Machines]:
    made = Machines(site, HERE)
    yield made
    made.archiver.stop()


def set_proofs(site: Site, proofs: str) -> None:
    if proofs == "off":
        site.farm.admitter.challenges = 0
    elif proofs == "impossible":
        site.farm.admitter._python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or ""
        if not site.farm.admitter._python:
            pytest.skip("no Python without chiapos here")


@pytest.mark.parametrize("proofs", ["on", "off", "impossible"])
@pytest.mark.parametrize("kind", formats.FORMATS)
def test_the_source_goes_only_where_the_drive_has_the_same_bytes(
    machines: Machines, drive: Path, tmp_path: Path, real_plot: Path, kind: str, proofs: str
) -> None:
    set_proofs(machines.site, proofs)
    (tmp_path / "dst").mkdir()
    source = formats.make(kind, tmp_path / "dst", real_plot)
    original = source.read_bytes()
    copy = drive / source.name

    for what, content in formats.differing(original).items():
        copy.write_bytes(content)
        for _ in range(2):  # a second try changes nothing
            with pytest.raises((PlotRefused, TransferFailed)) as refused:
                machines.archive(source)
            assert str(copy) in str(refused.value), what
            assert source.read_bytes() == original, what
            assert copy.read_bytes() == content, what
    copy.write_bytes(original)
    admission = machines.archive(source)

    assert not source.exists()
    assert copy.read_bytes() == original
    assert admission.landed == str(copy)
    assert admission.verified.endswith("all bytes compared with the source")
    assert digests.admitted(str(drive), copy.name) is not None


def test_another_file_is_refused_with_what_to_do_about_it(
    plotter: Machines, drive: Path, source: Path
) -> None:
    (drive / source.name).write_bytes(formats.differing(source.read_bytes())["zeroed tail"])

    with pytest.raises(PlotRefused) as refused:
        plotter.archive(source)

    assert f"{drive / source.name} exists and is not the plot that is to come" in refused.value.what
    assert "Its content differs from the source" in refused.value.what
    assert "`plotman resend`" in refused.value.cure


def test_once_the_bad_file_is_out_of_the_way_the_plot_lands(
    machines: Machines, drive: Path, source: Path
) -> None:
    original = source.read_bytes()
    (drive / source.name).write_bytes(formats.differing(original)["zeroed tail"])
    with pytest.raises(PlotRefused):
        machines.archive(source)
    (drive / source.name).rename(drive / "bad")

    assert Path(machines.archive(source).landed).read_bytes() == original


def test_what_the_harvester_took_in_is_not_read_again(
    machines: Machines, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admission = machines.admit(machines.send(machines.reserve(source)))
    monkeypatch.setattr(admit, "compare", lambda *_, **__: pytest.fail("it was read"))

    again = machines.reserve(source)
    delivery = machines.send(again)

    assert (again.landed, again.compare, delivery.digest) == (admission.landed, False, None)
    assert machines.release(machines.admit(delivery), source)


def rewritten(path: Path) -> None:
    """The same size, and the same time of change."""
    status = path.stat()
    content = path.read_bytes()
    path.rename(path.with_suffix(".was"))
    path.write_bytes(content[:-1000] + os.urandom(1000))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def changed_in_place(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100_000)
        file.write(os.urandom(1000))


def changed_in_secret(path: Path) -> None:
    """The same file, size and time of change, as `rsync --inplace --times` leaves it."""
    status = path.stat()
    changed_in_place(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def found_damaged(path: Path) -> None:
    """As the scrub leaves it."""
    entry = digests.admitted(str(path.parent), path.name)
    assert entry is not None
    changed_in_secret(path)
    digests.write(str(path.parent), path.name, entry.model_copy(update={"suspect": "reads otherwise"}))


@pytest.mark.parametrize("change", [rewritten, changed_in_place, changed_in_secret, found_damaged])
def test_a_file_changed_after_its_admission_is_compared(
    plotter: Machines, source: Path, change: Callable[[Path], None]
) -> None:
    plotter.site.farm.admitter.challenges = 0
    delivery = plotter.send(plotter.reserve(source))
    admission = plotter.admit(delivery)
    original = source.read_bytes()
    change(Path(admission.landed))

    with pytest.raises((PlotRefused, TransferFailed)):
        plotter.archive(source)
    with pytest.raises((PlotRefused, TransferFailed)):  # its message came twice
        plotter.admit(delivery)

    assert source.read_bytes() == original


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

    monkeypatch.setattr(admit, "compare", compare_then_change)
    plotter.site.farm.admitter.challenges = 0
    with pytest.raises(TransferFailed, match="changed during its checks"):
        plotter.admit(delivery)
    assert source.exists()


def test_a_forged_admission_deletes_no_plot_that_was_not_sent(
    plotter: Machines, drive: Path, source: Path
) -> None:
    """What whoever has a harvester's password can put on the plotter's queue."""
    size_bytes, where = source.stat().st_size, str(drive)
    forged = Reservation(
        host=HERE, source_host=HERE, path=str(source), size_bytes=size_bytes, drive=where, part="/part"
    )
    landed = f"{where}/{source.name}"
    admission = Admission(reservation=forged, landed=landed, size_bytes=size_bytes, verified="30 proofs")

    with pytest.raises(OrderRefused, match="was not sent to"):
        plotter.release(admission, source)
    plotter.send(plotter.reserve(source))
    another = forged.model_copy(update={"host": "evil1"})
    with pytest.raises(OrderRefused, match="was not sent to evil1"):
        plotter.release(admission.model_copy(update={"reservation": another}), source)

    assert source.exists()


def test_a_source_that_was_replaced_after_it_was_sent_is_kept(
    machines: Machines, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plot of the same name and size: another try finds out whether the drive has it, too."""
    machines.site.farm.admitter.challenges = 0
    admission = machines.admit(machines.send(machines.reserve(source)))
    content = source.read_bytes()
    source.unlink()
    source.write_bytes(formats.differing(content)["one bit"])

    with pytest.raises(OrderRefused, match="as it is now, was not sent"):
        machines.release(admission, source)
    with pytest.raises(PlotRefused, match="content differs"):
        machines.archive(source)
    source.write_bytes(content)
    monkeypatch.setattr(admit, "compare", lambda *_, **__: pytest.fail("the drive's file is the harvester's"))
    machines.archive(source)
    assert not source.exists()


def test_a_plot_that_landed_goes_though_the_plotter_lost_its_records(
    machines: Machines, source: Path
) -> None:
    machines.admit(machines.send(machines.reserve(source)))
    (machines.site.folder / "state" / "delivered.json").unlink()

    again = machines.reserve(source)
    assert (again.compare, again.part) == (False, None)
    delivery = machines.send(again)
    assert delivery.digest == read_digest(source, never)
    assert machines.release(machines.admit(delivery), source)


def test_a_record_of_an_older_plotman_is_enough(machines: Machines, source: Path) -> None:
    admission = machines.admit(machines.send(machines.reserve(source)))
    (machines.site.folder / "state" / "delivered.json").unlink()
    DeliveredFile(machines.site.folder / "state").put(str(source), HERE)
    assert machines.release(admission, source)


def test_a_link_under_the_plots_name_is_no_copy(plotter: Machines, drive: Path, source: Path) -> None:
    original = source.read_bytes()
    (drive / source.name).symlink_to(shutil.copy(source, drive / "elsewhere"))

    admission = plotter.archive(source)  # to the other drive

    assert Path(admission.landed).parent != drive
    assert Path(admission.landed).read_bytes() == original


def test_a_plotter_cannot_have_a_foreign_file_taken_for_its_plot_unread(
    plotter: Machines, drive: Path, source: Path
) -> None:
    """Messages that no plotman of today sends."""
    (drive / source.name).write_bytes(formats.differing(source.read_bytes())["one bit"])
    reservation = plotter.reserve(source)
    assert reservation.compare

    for forged, digest in ((False, None), (True, None), (True, "md4"), (False, "00" * 20)):
        with pytest.raises(TransferFailed, match="digest is not known"):
            plotter.admit(
                Delivery(reservation=reservation.model_copy(update={"compare": forged}), digest=digest)
            )


def test_a_source_that_differs_from_what_was_taken_in_is_kept(plotter: Machines, source: Path) -> None:
    delivery = plotter.send(plotter.reserve(source))
    plotter.admit(delivery)
    changed_in_place(source)

    with pytest.raises(PlotRefused, match="content differs"):
        plotter.admit(delivery.model_copy(update={"digest": read_digest(source, never)}))


def test_after_a_crash_between_rename_and_digest_the_content_is_compared(
    machines: Machines, drive: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = machines.send(machines.reserve(source))

    def crash(*_: object) -> None:
        raise OSError("power cut")

    with monkeypatch.context() as broken:
        broken.setattr(digests, "write", crash)
        with pytest.raises(OSError, match="power cut"):
            machines.admit(delivery)
    assert (drive / source.name).exists()
    assert digests.admitted(str(drive), source.name) is None

    admission = machines.admit(delivery)  # the message comes again
    assert admission.verified.endswith("all bytes compared with the source")
    (drive / ".incoming" / "digests" / source.name).unlink()
    assert machines.reserve(source).compare  # or beat decides anew
    machines.archive(source)
    assert not source.exists()


def test_a_file_that_appears_during_the_transfer_is_compared_and_not_replaced(
    machines: Machines, drive: Path, source: Path
) -> None:
    original = source.read_bytes()
    delivery = machines.send(machines.reserve(source))
    bad = formats.differing(original)["one bit"]
    (drive / source.name).write_bytes(bad)

    with pytest.raises(TransferFailed, match="appeared"):
        machines.admit(delivery)
    with pytest.raises(PlotRefused):
        machines.archive(source)
    assert (drive / source.name).read_bytes() == bad
    (drive / source.name).write_bytes(original)
    machines.archive(source)

    assert not source.exists()
    assert part_files.parts(str(drive)) == []


class Meddler:
    """Asked whether to stop, changes the file that is being read."""

    def __init__(self, path: Path) -> None:
        self.path, self.done = path, False

    def is_set(self) -> bool:
        if not self.done:
            self.done = True
            changed_in_place(self.path)
        return False


def test_a_file_that_is_changed_while_it_is_compared_is_not_taken(
    plotter: Machines, drive: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plotter.site.farm.admitter.challenges = 0
    copy = Path(shutil.copy(source, drive))
    real = admit.compare

    def then_changed(*arguments: Any, **named: Any) -> None:
        real(*arguments, **named)
        changed_in_place(copy)

    monkeypatch.setattr(admit, "compare", then_changed)

    with pytest.raises(TransferFailed, match="changed during its checks"):
        plotter.archive(source)
    assert source.exists()


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
    assert told[-1].percent == 99  # it is not there yet
    assert told[-1].rate_bytes_s > 0


def test_of_several_drives_the_one_counts_that_took_the_plot_in(
    plotter: Machines, drive: Path, source: Path
) -> None:
    plotter.site.farm.uses[drive] = DriveUse.DRAINING
    admission = plotter.admit(plotter.send(plotter.reserve(source)))
    assert Path(admission.landed).parent != drive
    content = source.read_bytes()
    for foreign in (content, *formats.differing(content).values()):
        (drive / source.name).write_bytes(foreign)
        reservation = plotter.reserve(source)
        assert (reservation.landed, reservation.compare) == (admission.landed, False)


def test_a_foreign_copy_beside_another_file_of_the_name_is_not_believed(
    plotter: Machines, drive: Path, source: Path
) -> None:
    shutil.copy(source, drive.with_name("drive2"))
    (drive / source.name).write_bytes(b"something else")
    with pytest.raises(PlotRefused, match="not the plot"):
        plotter.archive(source)


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
    monkeypatch.setattr(admit, "compare", lambda *_, **__: pytest.fail("it was read"))
    subprocess.run(["mount", "-o", "remount,ro", drive], check=True)

    with pytest.raises(TransferFailed, match="read-only"):
        harvester.admitter.admit(delivery)


def test_plotter_and_harvester_show_the_comparison(
    plotter: Machines, drive: Path, source: Path, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(source, drive)
    reservation = plotter.reserve(source)
    doing, told, shown = Doing(), [], []
    monkeypatch.setattr(plotter.archiver, "_show", lambda transfer, _="": shown.append(transfer))
    delivery = plotter.send(reservation)
    real = admit.compare

    def watched(*arguments: Any, **named: Any) -> None:
        real(*arguments, **named)
        told.append(doing.text)

    monkeypatch.setattr(admit, "compare", watched)
    plotter.site.farm.admitter.admit(delivery, doing=doing)

    assert (shown[0].compares, shown[-1]) == (True, None)
    assert told == [f"is compared with the file of its name on {drive}: 100 %"]
    assert doing.text is None
