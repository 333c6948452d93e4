"""Which drive a plot is reserved on, what is allocated there, and why no drive takes it."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.errors import NoRoom, OrderRefused, PlotRefused, TransferFailed
from common.model.snapshot import DriveUse
from common.system import machine
from common.system.probe import Hanging
from harvester_worker.drives import part_files
from harvester_worker.intake import reserve, resume
from harvester_worker.intake.reserve import Limits
from tests.support.tiny import tiny
from tests.support.waiting import eventually
from tests.unit.harvester_worker.intake.builders import SIZE, Harvester


def fails(error: BaseException) -> Callable[..., Any]:
    def call(*_: object) -> Any:
        raise error

    return call


def other_plot(harvester: Harvester, number: int = 1) -> reserve.ReserveOrder:
    path = f"/dst/plot-k25-2026-11-22-12-00-{number:064x}.plot"
    return harvester.order().model_copy(update={"path": path})


def test_a_reservation_has_the_plots_bytes_on_its_drive_and_a_record_of_its_source(
    harvester: Harvester,
) -> None:
    reservation = harvester.reserve()
    assert (reservation.drive, reservation.part) == (str(harvester.one), str(harvester.part))
    assert (reservation.landed, reservation.compare) == (None, False)
    status = harvester.part.stat()
    assert (status.st_size, status.st_blocks * 512 >= SIZE) == (0, True)
    record = part_files.record_of(harvester.part)
    assert record is not None
    assert (record.plot_id, record.name, record.size_bytes) == (
        harvester.plot_id,
        harvester.source.name,
        SIZE,
    )
    assert (record.source_host, record.path) == ("p1", str(harvester.source))
    assert (record.resumed, record.boot) == (False, machine.boot_id())
    assert harvester.parts() == [harvester.part], "the next decision counts it"


def test_the_same_order_gets_the_same_answer_and_the_length_that_arrived(harvester: Harvester) -> None:
    first = harvester.reserve()
    assert harvester.reserver.begun_bytes(first.drive, harvester.part) == 0
    harvester.part.write_bytes(bytes(1000))
    assert harvester.reserve() == first
    assert harvester.reserver.begun_bytes(first.drive, harvester.part) == 1000
    record = part_files.record_of(harvester.part)
    assert record is not None
    assert record.resumed


def test_a_file_that_is_not_named_like_a_plot_is_refused(harvester: Harvester) -> None:
    order = harvester.order().model_copy(update={"path": "/etc/passwd"})
    with pytest.raises(OrderRefused, match="not named like a finished plot"):
        harvester.reserver.reserve(order)


def test_a_drive_takes_as_many_plots_at_a_time_as_it_may(harvester: Harvester) -> None:
    drives = [harvester.reserver.reserve(other_plot(harvester, number)).drive for number in (1, 2)]
    assert drives == [str(harvester.one), str(harvester.two)]
    with pytest.raises(NoRoom, match=r"No drive of h1 takes .*drive1: plots on their way 1/1.*drive2"):
        harvester.reserve()
    harvester.reserver.limits = Limits(0, 2)
    assert harvester.reserve().drive == str(harvester.one)


def test_a_plot_that_exists_on_a_drive_is_not_sent(harvester: Harvester) -> None:
    (harvester.two / harvester.source.name).write_bytes(harvester.source.read_bytes())
    reservation = harvester.reserve()
    assert reservation.drive == str(harvester.two)
    assert (reservation.landed, reservation.part) == (str(harvester.two / harvester.source.name), None)
    assert reservation.compare, "the harvester did not take it in"


def test_a_plot_that_a_drive_has_under_another_name_is_not_sent(harvester: Harvester) -> None:
    """The source was renamed within dst: another date in its name."""
    other = harvester.two / harvester.source.name.replace("-22-", "-23-")
    other.write_bytes(harvester.source.read_bytes())
    reservation = harvester.reserve()
    assert (reservation.drive, reservation.landed) == (str(harvester.two), str(other))
    assert (reservation.part, reservation.compare) == (None, True)
    other.write_bytes(b"Proof of Space Plot" + bytes.fromhex(harvester.plot_id))
    assert harvester.reserve().part, "that is no plot"


def test_a_plot_that_the_harvester_took_in_is_not_compared(harvester: Harvester) -> None:
    harvester.admitter.admit(harvester.receive())
    reservation = harvester.reserve()
    assert (reservation.landed, reservation.compare) == (str(harvester.landed), False)


def test_another_file_of_the_name_is_refused(harvester: Harvester) -> None:
    harvester.landed.write_bytes(b"something else")
    with pytest.raises(PlotRefused, match="is not the plot that is to come"):
        harvester.reserve()


def test_a_source_that_lies_on_the_drive_is_never_taken_for_its_own_copy(harvester: Harvester) -> None:
    harvester.landed.hardlink_to(harvester.source)
    with pytest.raises(OrderRefused, match=r"lies on the drive .*drive1 already"):
        harvester.reserver.reserve(harvester.order(host="h1"))
    assert harvester.reserver.reserve(harvester.order(host="p1")).landed, "a path of another machine"
    harvester.landed.unlink()
    harvester.landed.write_bytes(harvester.source.read_bytes())
    assert harvester.reserver.reserve(harvester.order(host="h1")).landed, "a copy"


def test_a_plot_on_a_drive_that_cannot_be_read_gets_no_second_copy(
    harvester: Harvester, monkeypatch: pytest.MonkeyPatch
) -> None:
    harvester.admitter.admit(harvester.receive())
    pulled = harvester.one.rename(harvester.one.with_name("pulled"))
    with pytest.raises(TransferFailed, match=r"is on .*drive1, which is missing") as away:
        harvester.reserve()
    assert not isinstance(away.value, NoRoom)
    harvester.uses[str(harvester.one)] = DriveUse.DISABLED
    with pytest.raises(TransferFailed, match=r"is on .*drive1, which is disabled"):
        harvester.reserve()
    harvester.uses.clear()
    pulled.rename(harvester.one)
    with monkeypatch.context() as broken:
        unread = {str(harvester.one): OSError(errno.EIO, "Input/output error"), str(harvester.two): None}
        broken.setattr(reserve, "find_copies", lambda *_: unread)
        with pytest.raises(TransferFailed, match=r"is on .*drive1, which cannot be read: Input/output"):
            harvester.reserve()
        unread[str(harvester.one)] = Hanging("", "")  # type: ignore[assignment]
        with pytest.raises(TransferFailed, match=r"is on .*drive1, which does not answer"):
            harvester.reserve()
    assert harvester.reserve().landed == str(harvester.landed)


def test_a_plot_that_was_deleted_from_its_drive_is_taken_again(harvester: Harvester) -> None:
    harvester.admitter.admit(harvester.receive())
    harvester.landed.unlink()
    assert harvester.reserve().part == str(harvester.part)


def test_a_plot_that_no_drive_has_any_more_is_forgotten_where_there_is_no_room_for_it(
    harvester: Harvester,
) -> None:
    """Else beat would have it wait for the harvester that says that it has the plot."""
    harvester.index.put(harvester.plot_id, str(harvester.one))
    harvester.reserver.limits = Limits(1 << 60, 1)
    harvester.uses[str(harvester.two)] = DriveUse.DISABLED
    with pytest.raises(TransferFailed):
        harvester.reserve()
    assert harvester.index.latest(9) == (harvester.plot_id,), "the other drive may have it"
    harvester.uses.clear()
    with pytest.raises(NoRoom):
        harvester.reserve()
    assert harvester.index.latest(9) == ()


def test_a_drive_that_left_the_configuration_does_not_block_its_plots(harvester: Harvester) -> None:
    harvester.index.put(harvester.plot_id, "/farm/sold")
    assert harvester.reserve().drive == str(harvester.one)


def test_a_part_that_cannot_be_resumed_sends_the_plot_to_another_drive(
    harvester: Harvester, monkeypatch: pytest.MonkeyPatch
) -> None:
    harvester.reserve()
    with monkeypatch.context() as broken:
        broken.setattr(reserve, "resume", fails(OSError(errno.EIO, "Input/output error")))
        assert harvester.reserve().drive == str(harvester.two)
    part_files.drop(part_files.part_path(str(harvester.two), harvester.plot_id))
    assert harvester.reserve().drive == str(harvester.two), "the first is avoided for an hour"
    assert not harvester.part.exists(), "and its part is given up"


def test_a_drive_is_avoided_for_an_hour_by_the_plot_that_failed_there(
    harvester: Harvester, monkeypatch: pytest.MonkeyPatch
) -> None:
    harvester.reserver.avoid(harvester.plot_id, str(harvester.one), "it broke")
    harvester.reserver.avoid(harvester.plot_id, str(harvester.two), "it broke too")
    with pytest.raises(NoRoom, match=r"drive1: it broke; .*drive2: it broke too"):
        harvester.reserve()
    assert harvester.reserver.reserve(other_plot(harvester)).drive == str(harvester.one)
    part_files.drop(part_files.part_path(str(harvester.one), f"{1:064x}"))
    monkeypatch.setattr(reserve.time, "monotonic", lambda now=reserve.time.monotonic: now() + 3601)
    assert harvester.reserve().drive == str(harvester.one)


def test_a_drive_that_failed_for_two_plots_comes_last_for_all(
    harvester: Harvester, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.WARNING):
        harvester.reserver.avoid(f"{1:064x}", str(harvester.one), "it broke")
        harvester.reserver.avoid(f"{2:064x}", str(harvester.two), "once only")
        assert caplog.text == ""
        harvester.reserver.avoid(f"{3:064x}", str(harvester.one), "it broke")
        assert "drive1 failed for several plots" in caplog.text
    assert harvester.reserve().drive == str(harvester.two)
    part_files.drop(part_files.part_path(str(harvester.two), harvester.plot_id))
    monkeypatch.setattr(reserve.time, "monotonic", lambda now=reserve.time.monotonic: now() + 3601)
    assert harvester.reserve().drive == str(harvester.one)


def test_transfers_that_get_no_further_give_the_part_up(harvester: Harvester) -> None:
    harvester.reserve()
    harvester.part.write_bytes(bytes(1000))
    record = part_files.record_of(harvester.part)
    assert record is not None
    part_files.write_record(harvester.part, record.model_copy(update={"begun_bytes": 1000, "left_ns": 0}))
    assert harvester.reserve().drive == str(harvester.one), "once may be chance"
    part_files.write_record(
        harvester.part, record.model_copy(update={"begun_bytes": 1000, "left_ns": 0, "vain": 1})
    )
    assert harvester.reserve().drive == str(harvester.two)
    assert not harvester.part.exists()


@pytest.mark.parametrize("broken", ["allocate", "write_record"])
def test_an_allocation_that_fails_leaves_nothing_and_the_next_drive_takes_the_plot(
    harvester: Harvester, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = reserve if broken == "allocate" else part_files
    works, tried = getattr(module, broken), []

    def fails_once(*arguments: Any) -> object:
        tried.append(arguments)
        if len(tried) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return works(*arguments)

    monkeypatch.setattr(module, broken, fails_once)
    assert harvester.reserve().drive == str(harvester.two)
    assert not list(part_files.folder(str(harvester.one)).glob(f"{harvester.plot_id}*"))


def test_the_reasons_of_failed_allocations_are_in_the_refusal(
    harvester: Harvester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reserve, "allocate", fails(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(NoRoom, match=r"drive1: .*No space.*drive2: .*No space"):
        harvester.reserve()


def test_the_space_is_judged_again_under_the_drives_lock(
    harvester: Harvester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(candidate: Any, *_: object) -> str | None:
        return "filled meanwhile" if candidate.path == str(harvester.one) else None

    monkeypatch.setattr(reserve, "why_not", full)
    assert harvester.reserve().drive == str(harvester.two)
    assert not harvester.part.exists()


@pytest.mark.parametrize("away", ["missing", "disabled", "unreadable"])
def test_without_room_a_drive_that_could_not_be_searched_may_have_the_plot(
    harvester: Harvester, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beat lets the plotter keep its source then; NoRoom says that no copy exists."""
    order = harvester.order(size_bytes=10**15)
    with pytest.raises(NoRoom):
        harvester.reserver.reserve(order)
    if away == "missing":
        harvester.two.rmdir()
    elif away == "disabled":
        harvester.uses[str(harvester.two)] = DriveUse.DISABLED
    else:
        unread = {str(harvester.one): None, str(harvester.two): OSError(errno.EIO, "Input/output error")}
        monkeypatch.setattr(reserve, "find_copies", lambda *_: unread)
    with pytest.raises(
        TransferFailed, match=rf"drive2: .*{away if away != 'unreadable' else 'Input'}"
    ) as why:
        harvester.reserver.reserve(order)
    assert not isinstance(why.value, NoRoom)


def test_a_drive_whose_files_cannot_be_read_takes_no_plot(
    harvester: Harvester, monkeypatch: pytest.MonkeyPatch
) -> None:
    unread = {str(harvester.one): Hanging("", ""), str(harvester.two): None}
    monkeypatch.setattr(reserve, "find_copies", lambda *_: unread)
    assert harvester.reserve().drive == str(harvester.two)


def test_a_draining_drive_resumes_what_it_began_and_takes_nothing_new(harvester: Harvester) -> None:
    harvester.uses[str(harvester.one)] = DriveUse.DRAINING
    assert harvester.reserver.reserve(other_plot(harvester)).drive == str(harvester.two)
    harvester.uses.clear()
    part = Path(harvester.reserve().part or "")
    harvester.uses[str(harvester.one)] = DriveUse.DRAINING
    assert harvester.reserve().part == str(part)


def test_reservations_are_made_one_at_a_time(harvester: Harvester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else both would choose the same drive."""
    begun, go_on = [], threading.Event()
    find_copies = reserve.find_copies

    def slow(*arguments: Any) -> object:
        begun.append(arguments)
        assert go_on.wait(30)
        return find_copies(*arguments)

    monkeypatch.setattr(reserve, "find_copies", slow)
    orders = [other_plot(harvester, number) for number in (1, 2)]
    threads = [threading.Thread(target=harvester.reserver.reserve, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    eventually(lambda: begun, "one has begun")
    threads[1].join(0.1)
    assert len(begun) == 1
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert len(begun) == 2


def test_drives_of_one_file_system_share_its_space_also_where_it_cannot_allocate(
    harvester: Harvester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on ext3, or where two drives are folders of one file system."""
    monkeypatch.setattr(reserve, "allocate", lambda *_: False)
    monkeypatch.setattr(resume, "allocate", lambda *_: False)
    free_bytes = harvester.drives.refresh()[str(harvester.one)].report.free_bytes
    assert free_bytes is not None
    size_bytes = free_bytes * 3 // 5
    order = harvester.order(size_bytes=size_bytes)
    first = harvester.reserver.reserve(order)
    second = other_plot(harvester).model_copy(update={"size_bytes": size_bytes})
    with pytest.raises(NoRoom, match=r"drive2: room .*, needs"):
        harvester.reserver.reserve(second)
    one, two = harvester.drives.published()
    assert one.free_bytes is not None
    assert two.free_bytes is not None
    assert one.free_bytes < free_bytes - size_bytes // 2 > two.free_bytes
    assert harvester.reserver.reserve(order) == first, "its own bytes do not count against it"

    other = part_files.part_path(str(harvester.two), f"{2:064x}")
    part_files.prepare(str(harvester.two))
    other.touch()
    record = part_files.record_of(harvester.part)
    assert record is not None
    part_files.write_record(other, record.model_copy(update={"plot_id": f"{2:064x}"}))
    with pytest.raises(NoRoom):
        harvester.reserver.reserve(order)
    assert not harvester.part.exists(), "the rest of both would not fit"


def test_one_folder_under_two_names_counts_its_plots_once(
    harvester: Harvester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reserve, "allocate", lambda *_: False)
    harvester.two.rmdir()
    harvester.two.symlink_to(harvester.one)
    before = harvester.drives.refresh()[str(harvester.one)].report.free_bytes
    assert before is not None
    size_bytes = before * 2 // 5
    harvester.reserver.reserve(harvester.order(size_bytes=size_bytes))
    one, two = harvester.drives.published()
    assert one.free_bytes is not None
    assert abs(one.free_bytes - (before - size_bytes)) < before // 10
    assert two.free_bytes is not None
    assert abs(two.free_bytes - (before - size_bytes)) < before // 10


def test_a_drive_without_inodes_says_so(harvester: Harvester) -> None:
    with (
        tiny(harvester.one, "size=64m,nr_inodes=2"),
        tiny(harvester.two, "size=64m,nr_inodes=2"),
        pytest.raises(TransferFailed) as error,
    ):
        for drive in (harvester.one, harvester.two):
            (drive / "the last inode").touch()
        harvester.reserver.reserve(other_plot(harvester))
    assert f"{harvester.one}: full: no inode is left" in str(error.value)
    assert "Errno" not in str(error.value)


def test_another_plotters_part_stays_as_long_as_it_arrives(
    harvester: Harvester, monkeypatch: pytest.MonkeyPatch
) -> None:
    harvester.reserve()
    with pytest.raises(TransferFailed, match=r"is reserved for .* of p1") as refused:
        harvester.reserver.reserve(harvester.order("p2"))
    assert "Two plotters list this plot" in str(refused.value)
    assert part_files.record_of(harvester.part).source_host == "p1"  # type: ignore[union-attr]
    monkeypatch.setattr(resume.time, "time", lambda now=resume.time.time: now() + part_files.IDLE_S + 1)
    assert harvester.reserver.reserve(harvester.order("p2")).part
    assert not harvester.part.exists()


def test_a_drive_that_fails_to_give_up_anothers_part_is_left_for_the_next(
    harvester: Harvester, monkeypatch: pytest.MonkeyPatch
) -> None:
    harvester.reserve()
    monkeypatch.setattr(reserve, "give_up", fails(OSError(5, "Input/output error")))
    monkeypatch.setattr(reserve, "is_arriving", lambda *_: False)
    assert harvester.reserver.reserve(harvester.order("p2")).drive == str(harvester.two)


def test_a_drive_that_a_second_plotter_sees_fail_is_blamed_though_it_takes_a_small_file(
    harvester: Harvester,
) -> None:
    """One plotter alone may lie; a bad region of a drive is met by large files only."""
    failed: list[tuple[str, str, str]] = []
    harvester.reserver.on_failed = lambda *what: failed.append(what)
    harvester.reserve()  # makes the folder of parts
    one, ended = str(harvester.one), "input/output error"

    def suspected(plot_id: str, plotter: str) -> None:
        harvester.reserver.suspect(plot_id, plotter, one, ended)
        eventually(
            lambda: not [each for each in threading.enumerate() if each.name == f"check {one}"], "checked"
        )

    for number in range(3):
        suspected(f"{number:064x}", "p1")
    assert failed == []
    suspected(f"{9:064x}", "p2")
    assert failed == [(f"{9:064x}", one, ended)]
