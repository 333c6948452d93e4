"""Which plots are admitted, what is refused, and what is left in each case."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.errors import DriveFailed, OrderRefused, PlotRefused, TransferFailed
from common.model.messages import Delivery
from common.model.snapshot import DirState, DriveUse
from common.system.probe import DirReport
from common.worker.move_step import Doing, StepInterrupted
from harvester_worker.drives import digests, part_files
from harvester_worker.intake import admit
from harvester_worker.intake import content as content_check
from harvester_worker.intake.resume import drop_superseded
from harvester_worker.intake.verify import Proved
from tests.support.plots import write_plot
from tests.unit.harvester_worker.intake.builders import SIZE, Harvester

ANOTHER_BOOT = {"boot": "another"}


def changed(delivery: Delivery, **fields: Any) -> Delivery:
    return delivery.model_copy(update={"reservation": delivery.reservation.model_copy(update=fields)})


def write_record(harvester: Harvester, **fields: Any) -> None:
    record = part_files.record_of(harvester.part)
    assert record is not None
    part_files.write_record(harvester.part, record.model_copy(update=fields))


def other_content(harvester: Harvester) -> bytes:
    """The same header and size."""
    content = harvester.source.read_bytes()
    return content[:-100] + bytes(100)


def test_an_admitted_plot_has_its_name_its_digest_and_its_place_in_the_index(harvester: Harvester) -> None:
    delivery = harvester.receive()
    admission = harvester.admitter.admit(delivery)
    assert (admission.landed, admission.size_bytes) == (str(harvester.landed), SIZE)
    assert admission.verified == "header and size"
    assert 0 <= (admission.took_s or -1) < 60
    assert admission.reservation == delivery.reservation
    assert harvester.landed.read_bytes() == harvester.source.read_bytes()
    entry = digests.admitted(str(harvester.one), harvester.source.name)
    assert entry is not None
    assert entry.digest == harvester.digest
    assert harvester.index.drive_of(harvester.plot_id) == str(harvester.one)
    assert not list(part_files.folder(str(harvester.one)).glob(f"{harvester.plot_id}*"))
    assert harvester.parts() == []


def test_the_file_is_flushed_before_its_checks_and_the_rename_before_the_answer(
    harvester: Harvester, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[object] = []
    monkeypatch.setattr(admit, "make_durable", lambda path: steps.append((path, harvester.landed.exists())))
    monkeypatch.setattr(admit, "forget_cached", lambda path: steps.append("not from memory"))
    monkeypatch.setattr(admit, "prove", lambda *_: steps.append("proofs") or Proved("proved", 1))
    put = harvester.index.put
    monkeypatch.setattr(harvester.index, "put", lambda *_: (steps.append("index"), put(*_)))
    harvester.admitter.admit(harvester.receive())
    folder = part_files.folder(str(harvester.one))
    assert steps == [
        (harvester.part, False),
        "not from memory",
        "proofs",
        "index",
        (harvester.one, True),
        (folder, True),
    ]


def test_a_message_that_comes_twice_gets_the_same_answer(harvester: Harvester) -> None:
    delivery = harvester.receive()
    first = harvester.admitter.admit(delivery)
    again = harvester.admitter.admit(delivery)
    assert (again.landed, again.verified) == (first.landed, first.verified)


def test_a_part_that_is_no_plot_is_put_aside_with_a_name_that_no_farmer_opens(harvester: Harvester) -> None:
    before_s = time.time()
    delivery = harvester.receive(bytes(SIZE))
    os.utime(harvester.part, (1, 1))
    with pytest.raises(PlotRefused, match="is not a plot"):
        harvester.admitter.admit(delivery)
    (aside,) = part_files.refused(str(harvester.one))
    assert aside.read_bytes() == bytes(SIZE)
    assert aside.stat().st_mtime > before_s - 60, "its day begins now"
    assert not list(part_files.folder(str(harvester.one)).glob(f"{harvester.plot_id}*"))
    assert harvester.parts() == [], "the space counts as free at once"
    assert not harvester.landed.exists()
    assert harvester.index.drive_of(harvester.plot_id) is None


@pytest.mark.parametrize(
    ("record", "read_back", "read"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"resumed": True}, False, True),
        (ANOTHER_BOOT, False, True),
        (None, False, True),
    ],
)
def test_a_part_is_read_back_unless_all_its_bytes_came_in_one_run_since_the_boot(
    harvester: Harvester, record: dict[str, Any] | None, read_back: bool, read: bool
) -> None:
    delivery = harvester.receive()
    if record is None:
        harvester.part.with_suffix(part_files.RECORD).unlink()
    elif record:
        write_record(harvester, **record)
    harvester.admitter.read_back = read_back
    admission = harvester.admitter.admit(delivery)
    assert admission.verified == "header and size" + (", all bytes read back" if read else "")


def test_a_part_that_reads_back_otherwise_is_put_aside(harvester: Harvester) -> None:
    delivery = harvester.receive(other_content(harvester))
    write_record(harvester, resumed=True)
    with pytest.raises(DriveFailed, match="reads back with digest"):
        harvester.admitter.admit(delivery)
    assert len(part_files.refused(str(harvester.one))) == 1
    assert harvester.parts() == []
    assert not harvester.landed.exists()


@pytest.mark.parametrize("record", [{"resumed": True}, ANOTHER_BOOT])
def test_a_part_of_several_runs_without_a_comparable_digest_is_deleted_and_sent_again(
    harvester: Harvester, record: dict[str, Any]
) -> None:
    delivery = harvester.receive()
    write_record(harvester, **record)
    with pytest.raises(TransferFailed, match="came in several runs"):
        harvester.admitter.admit(delivery.model_copy(update={"digest": "sha1"}))
    assert not harvester.part.exists()
    assert harvester.parts() == []


def test_a_part_of_one_run_is_admitted_without_a_comparable_digest_and_has_no_entry(
    harvester: Harvester, caplog: pytest.LogCaptureFixture
) -> None:
    harvester.admitter.read_back = True
    with caplog.at_level(logging.WARNING):
        harvester.admitter.admit(harvester.receive().model_copy(update={"digest": "sha1"}))
    assert "the digest sha1 is of an unknown kind" in caplog.text
    assert digests.admitted(str(harvester.one), harvester.source.name) is None


def test_a_part_that_nobody_sent_is_not_believed(harvester: Harvester) -> None:
    delivery = harvester.receive().model_copy(update={"digest": None})
    with pytest.raises(TransferFailed, match="was full before it was sent"):
        harvester.admitter.admit(delivery)
    assert harvester.part.exists()


def test_a_part_that_is_short_or_still_written_stays_a_part(
    harvester: Harvester, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = harvester.receive(harvester.source.read_bytes()[:-1])
    with monkeypatch.context() as unproved:
        unproved.setattr(admit, "prove", lambda *_: pytest.fail("minutes of proofs for nothing"))
        with pytest.raises(TransferFailed, match=f"has {SIZE - 1} of {SIZE} bytes"):
            harvester.admitter.admit(delivery)
        with harvester.part.open("ab") as file:
            file.write(harvester.source.read_bytes()[-1:])
            file.flush()
            with pytest.raises(TransferFailed, match="still being written"):
                harvester.admitter.admit(delivery)
    assert harvester.admitter.admit(delivery).landed == str(harvester.landed)


def shorten(part: Path) -> None:
    os.truncate(part, SIZE - 1)


def rewrite(part: Path) -> None:
    part.write_bytes(bytes(SIZE))


@pytest.mark.parametrize(
    ("change", "message"), [(shorten, f"has {SIZE - 1} of"), (rewrite, "changed during its checks")]
)
def test_a_part_that_changes_during_its_checks_gets_no_plots_name(
    harvester: Harvester,
    change: Callable[[Path], None],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admit, "prove", lambda path, *_: change(path) or Proved("proved", 1))
    with pytest.raises(TransferFailed, match=message):
        harvester.admitter.admit(harvester.receive())
    assert harvester.part.exists()
    assert not harvester.landed.exists()
    assert harvester.index.drive_of(harvester.plot_id) is None


def test_a_file_that_appears_during_the_checks_is_never_replaced(
    harvester: Harvester, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = harvester.source.read_bytes()
    monkeypatch.setattr(admit, "prove", lambda *_: Proved(str(harvester.landed.write_bytes(foreign))))
    delivery = harvester.receive()
    with pytest.raises(TransferFailed, match="appeared while the plot was sent"):
        harvester.admitter.admit(delivery)
    foreign = b"something else"
    with pytest.raises(PlotRefused, match="is not the plot that is to come"):
        harvester.admitter.admit(delivery)
    assert harvester.landed.read_bytes() == foreign
    assert len(part_files.refused(str(harvester.one))) == 1, "it is kept for a day"


def test_a_plot_that_the_index_cannot_hold_gets_no_name(
    harvester: Harvester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a drive that is pulled now would take the only knowledge of the plot with it."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(harvester.index, "put", full)
    with pytest.raises(OSError, match="No space"):
        harvester.admitter.admit(harvester.receive())
    assert harvester.part.exists()
    assert not harvester.landed.exists()


@pytest.mark.parametrize("looks", [0, 1], ids=["before the checks", "before the rename"])
def test_a_drive_that_is_not_ready_admits_nothing(
    harvester: Harvester, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = [DirState.OK] * looks + [DirState.READ_ONLY]
    monkeypatch.setattr(admit, "look", lambda *_: DirReport(states.pop(0)))
    proved = []
    monkeypatch.setattr(admit, "prove", lambda *_: proved.append(1) or Proved("proved", 1))
    with pytest.raises(TransferFailed, match="is read-only"):
        harvester.admitter.admit(harvester.receive())
    assert len(proved) == looks
    assert harvester.part.exists()


@pytest.mark.parametrize("field", ["part", "landed"])
def test_a_message_cannot_choose_the_file(harvester: Harvester, field: str) -> None:
    delivery = harvester.receive()
    for path in (
        harvester.one / ".incoming" / f"{'f' * 64}.part",
        harvester.two / harvester.source.name,
        harvester.source,
    ):
        with pytest.raises(OrderRefused, match="is not the place of this plot"):
            harvester.admitter.admit(changed(delivery, **{field: str(path)}))


def test_a_message_cannot_choose_the_folder_or_the_name(harvester: Harvester) -> None:
    delivery = harvester.receive()
    for fields in ({"drive": str(harvester.source.parent)}, {"path": "/dst/passwd"}):
        with pytest.raises(OrderRefused, match="is not a drive of this host"):
            harvester.admitter.admit(changed(delivery, **fields))
    assert harvester.part.exists()


def test_a_disabled_drive_is_not_touched_and_a_draining_one_takes_what_was_sent(harvester: Harvester) -> None:
    delivery = harvester.receive()
    harvester.uses[str(harvester.one)] = DriveUse.DISABLED
    with pytest.raises(TransferFailed, match="is disabled"):
        harvester.admitter.admit(delivery)
    harvester.uses[str(harvester.one)] = DriveUse.DRAINING
    assert harvester.admitter.admit(delivery).landed == str(harvester.landed)


def test_a_part_that_disappeared_is_sent_again(harvester: Harvester) -> None:
    delivery = harvester.receive()
    harvester.part.unlink()
    with pytest.raises(TransferFailed, match=r"\.part no longer exists"):
        harvester.admitter.admit(delivery)


def foreign_file(harvester: Harvester, content: bytes) -> Delivery:
    """A file of the plot's name that the harvester did not take in."""
    harvester.landed.write_bytes(content)
    reservation = harvester.reserve()
    assert (reservation.landed, reservation.compare) == (str(harvester.landed), True)
    return Delivery(reservation=reservation, digest=harvester.digest)


def test_a_foreign_file_is_admitted_if_all_its_bytes_are_the_same(harvester: Harvester) -> None:
    delivery = foreign_file(harvester, harvester.source.read_bytes())
    for digest in (None, "sha1"):
        with pytest.raises(TransferFailed, match="the source's digest is not known"):
            harvester.admitter.admit(delivery.model_copy(update={"digest": digest}))
    admission = harvester.admitter.admit(delivery)
    assert admission.verified == "header and size, all bytes compared with the source"
    again = harvester.admitter.admit(delivery)
    assert again.verified == "header and size", "the harvester took it in now"


def test_the_digest_of_a_source_is_asked_for_though_the_harvester_took_the_file_in(
    harvester: Harvester,
) -> None:
    """Another plotter may have sent it, under the id of a plot that it did not make."""
    delivery = harvester.receive()
    harvester.admitter.admit(delivery)
    with pytest.raises(TransferFailed, match="the source's digest is not known"):
        harvester.admitter.admit(delivery.model_copy(update={"digest": None}))


def test_a_foreign_file_that_differs_stays_where_it_is(harvester: Harvester) -> None:
    content = other_content(harvester)
    delivery = foreign_file(harvester, content)
    with pytest.raises(PlotRefused, match="Its content differs from the source"):
        harvester.admitter.admit(delivery)
    assert harvester.landed.read_bytes() == content
    assert part_files.refused(str(harvester.one)) == []
    assert harvester.index.drive_of(harvester.plot_id) is None


def test_a_source_that_differs_from_the_file_that_was_taken_in_is_compared(harvester: Harvester) -> None:
    delivery = harvester.receive()
    harvester.admitter.admit(delivery)
    with pytest.raises(PlotRefused, match="Its content differs from the source"):
        harvester.admitter.admit(delivery.model_copy(update={"digest": "0" * 32}))


def test_operators_see_how_far_the_reading_is_and_nothing_after_it(
    harvester: Harvester, monkeypatch: pytest.MonkeyPatch
) -> None:
    doing, shown = Doing(), []

    def read(*_: object, tell: Callable[[int], None]) -> None:
        shown.append(doing.text)
        tell(SIZE // 2)
        shown.append(doing.text)
        raise DriveFailed("it reads otherwise")

    monkeypatch.setattr(content_check, "compare", read)
    delivery = harvester.receive()
    write_record(harvester, resumed=True)
    with pytest.raises(DriveFailed):
        harvester.admitter.admit(delivery, doing=doing)
    assert shown == [f"is read back from {harvester.one}: {percent} %" for percent in (0, 50)]
    assert doing.text is None


def test_a_worker_that_stops_leaves_the_part(harvester: Harvester) -> None:
    stop = threading.Event()
    stop.set()
    delivery = harvester.receive()
    write_record(harvester, resumed=True)
    with pytest.raises(StepInterrupted):
        harvester.admitter.admit(delivery, stop)
    assert harvester.part.exists()


def test_a_drive_that_took_the_whole_plot_did_not_fail(harvester: Harvester) -> None:
    """Tries in vain are counted anew, although the checks end early."""
    delivery = harvester.receive(bytes(SIZE))
    write_record(harvester, begun_bytes=SIZE, vain=2)
    with harvester.part.open("r+b") as file:
        file.write(harvester.source.read_bytes())
    stop = threading.Event()
    stop.set()
    write_record(harvester, begun_bytes=SIZE, vain=2, resumed=True)
    with pytest.raises(StepInterrupted):
        harvester.admitter.admit(delivery, stop)
    record = part_files.record_of(harvester.part)
    assert record is not None
    assert (record.vain, record.begun_bytes) == (0, 0)


def elsewhere(harvester: Harvester, drive: str) -> Path:
    """A copy that somebody puts on a drive while the plot is sent."""
    name = harvester.source.name.replace("-22-", "-23-") if drive == "one" else harvester.source.name
    path: Path = getattr(harvester, drive) / name
    return path


@pytest.mark.parametrize("drive", ["one", "two"])
def test_a_copy_that_appears_meanwhile_keeps_the_part_from_becoming_a_second_one(
    harvester: Harvester, drive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, content = elsewhere(harvester, drive), harvester.source.read_bytes()
    monkeypatch.setattr(admit, "prove", lambda *_: Proved(str(copy.write_bytes(content))))
    delivery = harvester.receive()
    with pytest.raises(TransferFailed, match=f"{copy} appeared while the plot was sent"):
        harvester.admitter.admit(delivery)
    assert not harvester.landed.exists()
    monkeypatch.undo()

    again = harvester.reserve()
    assert (again.landed, again.compare) == (str(copy), True)
    admission = harvester.admitter.admit(Delivery(reservation=again, digest=harvester.digest))
    assert admission.landed == str(copy)
    assert admission.verified.endswith("all bytes compared with the source")
    assert digests.admitted(str(copy.parent), copy.name) is not None
    assert (harvester.reserve().landed, harvester.reserve().compare) == (str(copy), False)
    drop_superseded(harvester.drives, harvester.index, harvester.drives.refresh())
    assert not harvester.part.exists(), "its space is free again"
    assert copy.read_bytes() == content


def test_copies_that_others_put_on_two_drives_do_not_keep_the_source_from_its_comparison(
    harvester: Harvester,
) -> None:
    delivery = foreign_file(harvester, harvester.source.read_bytes())
    elsewhere(harvester, "two").write_bytes(harvester.source.read_bytes())
    assert harvester.admitter.admit(delivery).landed == str(harvester.landed)


@pytest.mark.parametrize("drive", ["one", "two"])
def test_a_bad_copy_that_appears_meanwhile_is_reported_with_its_path(
    harvester: Harvester, drive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = elsewhere(harvester, drive)
    short = harvester.source.read_bytes()[:-1]
    monkeypatch.setattr(admit, "prove", lambda *_: Proved(str(copy.write_bytes(short))))
    with pytest.raises(PlotRefused, match=f"{copy} exists and is not the plot that is to come"):
        harvester.admitter.admit(harvester.receive())
    assert (copy.read_bytes(), harvester.landed.exists()) == (short, False)
    (aside,) = part_files.refused(str(harvester.one))
    assert aside.read_bytes() == harvester.source.read_bytes(), "which an operator may compare with it"
    assert harvester.parts() == []


@pytest.mark.parametrize("away", ["disabled", "unreadable"])
def test_a_drive_that_is_away_keeps_no_plot_from_being_admitted(
    harvester: Harvester, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = harvester.receive()
    elsewhere(harvester, "two").write_bytes(harvester.source.read_bytes())
    if away == "disabled":
        harvester.uses[str(harvester.two)] = DriveUse.DISABLED
    else:
        broken = {str(harvester.two): OSError(5, "Input/output error")}
        monkeypatch.setattr(admit, "find_copies", lambda *_: broken)
    assert harvester.admitter.admit(delivery).landed == str(harvester.landed)


def test_a_message_may_name_only_files_of_the_plot_as_the_drives_copy(harvester: Harvester) -> None:
    delivery = foreign_file(harvester, harvester.source.read_bytes())
    other = harvester.landed.with_name(harvester.source.name.replace("-22-", "-23-"))
    folder = harvester.one / "sub"
    folder.mkdir()
    for path in (
        write_plot(harvester.one, SIZE),
        folder / harvester.source.name,
        Path(f"{harvester.one}/../drive2/{harvester.source.name}"),
    ):
        with pytest.raises(OrderRefused, match="is not the place of this plot"):
            harvester.admitter.admit(changed(delivery, landed=str(path)))
    harvester.landed.rename(other)
    assert harvester.admitter.admit(changed(delivery, landed=str(other))).landed == str(other)


def test_a_part_is_not_given_up_for_another_move_of_its_plot(harvester: Harvester) -> None:
    delivery = harvester.receive()
    write_record(harvester, move="m2")
    for move in ("m2", None):
        harvester.admitter.must_fit(changed(delivery, move=move).reservation)
    with pytest.raises(OrderRefused, match="is reserved for another move of this plot"):
        harvester.admitter.must_fit(changed(delivery, move="m1").reservation)


def test_a_digest_that_only_the_plotter_names_blames_no_drive(harvester: Harvester) -> None:
    """The harvester's own rsync did not see the end of the transfer: its worker was killed."""
    delivery = harvester.receive(other_content(harvester))
    write_record(harvester, door=True)
    with pytest.raises(TransferFailed, match="has another digest than p1 says"):
        harvester.admitter.admit(delivery)
    assert not harvester.part.exists()
    assert part_files.refused(str(harvester.one)) == []
