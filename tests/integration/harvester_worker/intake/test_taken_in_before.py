"""Which plots the harvester took in itself, and when it compares them with the source again."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import OrderRefused, PlotRefused, TransferFailed
from common.model.messages import Admission, Reservation
from common.model.snapshot import DriveUse
from common.system.delivered import DeliveredFile
from common.worker.digests import read_digest
from common.worker.move_step import StepInterrupted, never
from harvester_worker.drives import digests
from harvester_worker.intake import content as content_check
from tests.support import formats
from tests.support.site import HERE, Machines, changed_in_place, changed_in_secret

pytestmark = pytest.mark.plotter


def test_what_the_harvester_took_in_is_not_read_again(
    machines: Machines, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = machines.send(machines.reserve(source))
    admission = machines.admit(sent)
    monkeypatch.setattr(content_check, "compare", lambda *_, **__: pytest.fail("it was read"))

    again = machines.reserve(source)
    delivery = machines.send(again)

    assert (again.landed, again.compare) == (admission.landed, False)
    assert (delivery.digest, delivery.sent_bytes) == (sent.digest, 0)
    assert machines.release(machines.admit(delivery), source)


def rewritten(path: Path) -> None:
    """The same size, and the same time of change."""
    status = path.stat()
    content = path.read_bytes()
    path.rename(path.with_suffix(".was"))
    path.write_bytes(content[:-1000] + os.urandom(1000))
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


def test_a_forged_admission_deletes_no_plot_that_was_not_sent(
    plotter: Machines, drive: Path, source: Path
) -> None:
    """What a client with a harvester's password can put on the plotter's queue."""
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
    monkeypatch.setattr(content_check, "compare", lambda *_, **__: pytest.fail("the drive's file is ours"))
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


def test_a_file_that_another_plotter_sent_under_the_plots_id_never_counts_as_the_plot(
    machines: Machines, source: Path, tmp_path: Path
) -> None:
    """Its bytes are looked at again after a comparison that was interrupted, and after one that failed."""
    site = machines.site
    site.farm.admitter.challenges = 0  # as with compressed plots, which cannot be proved
    forged = tmp_path / "elsewhere" / source.name
    forged.parent.mkdir()
    shutil.copy2(source, forged)
    changed_in_place(forged)
    site.intake.admit(site.send(forged, site.intake.reserve(site.order(forged))), never)
    stopped = threading.Event()
    stopped.set()

    for stop, ends in ((stopped, StepInterrupted), (never, PlotRefused), (never, PlotRefused)):
        delivery = machines.send(machines.reserve(source))
        with pytest.raises(ends):
            site.intake.admit(delivery, stop)
    assert source.exists()
