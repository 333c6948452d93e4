"""What lets an old plot be deleted: each condition is broken alone, between listing and deletion or before,
and the plot stays."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.errors import OrderRefused
from common.model.holds import HoldOrder
from common.model.messages import EvacuateOrder
from common.model.replot import OldClass
from common.model.replot_report import ReplotState
from common.model.snapshot import DirState, DiskHealth
from common.system import openfile
from common.system.probe import DirReport
from harvester_worker.drives import digests, evacuated, part_files
from harvester_worker.drives.survey import DriveSurvey
from harvester_worker.replot import ledger, removal, surroundings
from harvester_worker.replot.removal import Removal, Stays
from tests.support import formats
from tests.support.replot_killed import victim_of
from tests.support.replotting import OLD, Replotting, aside

MakeSite = Callable[..., Replotting]


@pytest.fixture
def site(make_site: MakeSite, old_plots: list[Path], large_plots: list[Path]) -> Replotting:
    """One old plot is next, and all lets it go."""
    made = make_site("20m", "20m", proofs=1)
    made.put(made.drives[0], old_plots[0])
    made.order(low_water_bytes=30 << 20)
    made.arrive(*large_plots[:2])
    made.known()
    return made


@pytest.fixture
def old(site: Replotting) -> Path:
    (found,) = site.drives[0].glob("*.plot")
    return found


def test_the_plot_goes_if_nothing_is_broken(site: Replotting, old: Path) -> None:
    assert site.look()
    assert not old.exists()
    assert aside(site.drives[0]) == []
    assert site.journal.victim is None
    assert site.journal.deleted_plots == 1


def other(old: Path) -> None:
    """Another file of the same bytes, size and time has the name."""
    status = old.stat()
    copy = Path(shutil.copy2(old, old.with_suffix(".copy")))
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    copy.rename(old)


def grown(old: Path) -> None:
    status = old.stat()
    with old.open("ab") as file:
        file.write(b"more")
    os.utime(old, ns=(status.st_atime_ns, status.st_mtime_ns))


def touched(old: Path) -> None:
    os.utime(old)


def linked(old: Path) -> None:
    os.link(old, old.parent / "second name")


def symlink(old: Path) -> None:
    elsewhere = old.rename(old.parent / "elsewhere")
    old.symlink_to(elsewhere)


def folder(old: Path) -> None:
    old.rename(old.parent / "elsewhere")
    old.mkdir()


def pipe(old: Path) -> None:
    old.rename(old.parent / "elsewhere")
    os.mkfifo(old)


def rewritten(old: Path, head: bytes) -> None:
    """In place: inode, size and time of change are the same, and the header is another."""
    status = old.stat()
    with old.open("r+b") as file:
        file.write(head)
    os.utime(old, ns=(status.st_atime_ns, status.st_mtime_ns))


def new_header(old: Path) -> None:
    rewritten(old, formats.header("PoS2 02", b"x" * 32))


def gigahorse(old: Path) -> None:
    rewritten(old, formats.header("Gigahorse", b"x" * 32))


def other_k(old: Path) -> None:
    with old.open("rb") as file:
        head = bytearray(file.read(60))
    head[51] = 19
    rewritten(old, bytes(head))


def other_id(old: Path) -> None:
    with old.open("rb") as file:
        head = bytearray(file.read(60))
    head[19:51] = b"y" * 32
    rewritten(old, bytes(head))


def no_header(old: Path) -> None:
    rewritten(old, b"nothing that a plotter writes")


def zeros(old: Path) -> None:
    """Half of the data is zeros; header and length are right."""
    status = old.stat()
    with old.open("r+b") as file:
        file.seek(status.st_size // 2)
        file.write(bytes(status.st_size - status.st_size // 2))
    os.utime(old, ns=(status.st_atime_ns, status.st_mtime_ns))


def removed(old: Path) -> None:
    old.unlink()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (other, "is not the file that the inventory has"),
        (grown, "is not the file that the inventory has"),
        (touched, "is not the file that the inventory has"),
        (linked, "no regular file with one name"),
        (symlink, "no regular file"),
        (folder, "no regular file"),
        (pipe, "no regular file"),
        (new_header, "not of class old by its header"),
        (gigahorse, "not of class old by its header"),
        (other_k, "not of class old by its header"),
        (other_id, "not of class old by its header"),
        (no_header, "has no header of a plot"),
        (zeros, "is not whole"),
        (removed, "no regular file"),
    ],
)
def test_a_file_that_changed_since_it_was_listed_stays(
    site: Replotting,
    old: Path,
    change: Callable[[Path], None],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(removal, "rename_new", lambda *_: pytest.fail("it was set aside"))
    before = old.lstat().st_ino
    change(old)
    assert not site.look()
    assert why in site.report.why
    assert os.path.lexists(old) == (change is not removed)
    if change not in (other, symlink, folder, pipe, removed):
        assert old.lstat().st_ino == before
    assert aside(site.drives[0]) == []
    assert site.journal.victim is None
    assert site.journal.deleted_bytes == 0
    assert site.kinds()[-1] == "replot-refused"
    assert not site.look()
    assert site.kinds().count("replot-refused") == 1, "it is left alone for an hour"


def test_a_file_that_is_open_for_writing_stays(site: Replotting, old: Path) -> None:
    with old.open("r+b"):
        assert not site.look()
    assert "open for writing" in site.report.why
    assert old.exists()


def test_a_file_of_which_the_kernel_does_not_say_who_writes_it_stays(
    site: Replotting, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where /proc shows no writer: it does not have the processes of other namespaces."""

    def refused(*_: object) -> None:
        raise openfile._LeaseImpossible

    monkeypatch.setattr(openfile, "_may_lease", refused)
    assert openfile.is_open_for_writing(old) is not True
    assert not site.look()
    assert "the kernel does not say" in site.report.why
    assert old.exists()


def test_a_link_in_the_place_of_the_digests_deletes_nothing_of_another_drive(
    site: Replotting, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive, other = site.drives
    theirs = other / old.name
    theirs.write_bytes(b"another plot")
    folder = part_files.folder(str(drive)) / digests.FOLDER

    def exchange() -> None:
        folder.mkdir(exist_ok=True)
        folder.rename(folder.with_name("moved"))
        folder.symlink_to(other)

    with at("after", exchange, monkeypatch):
        assert site.look()
    assert not old.exists()
    assert theirs.exists()


def test_a_file_on_another_file_system_than_its_drive_stays(
    site: Replotting, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.stat

    def other_device(path: Any, **more: Any) -> os.stat_result:
        status = real(path, **more)
        if path == str(old.parent):
            return os.stat_result([*status[:2], status.st_dev + 1, *status[3:]], {})
        return status

    monkeypatch.setattr(removal.os, "stat", other_device)
    assert not site.look()
    assert "another file system" in site.report.why
    assert old.exists()


@contextlib.contextmanager
def at(moment: str, does: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Something happens right after the plot was set aside, or right before."""
    real = removal.rename_new
    done: list[object] = []

    def rename(source: Path, target: Path) -> None:
        if not done and moment == "before":
            done.append(does())
        real(source, target)
        if not done:
            done.append(does())

    monkeypatch.setattr(removal, "rename_new", rename)
    yield
    assert done


@pytest.mark.parametrize("change", [linked, grown, new_header, zeros, touched])
def test_a_plot_that_changes_after_it_was_set_aside_gets_its_name_back(
    site: Replotting, old: Path, change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_aside = part_files.folder(str(old.parent)) / f"{old.name}{removal.ASIDE}"
    with at("after", lambda: change(put_aside), monkeypatch):
        assert not site.look()
    assert old.exists()
    assert aside(old.parent) == []
    assert site.journal.victim is None
    assert site.journal.deleted_bytes == 0


def test_new_plots_that_go_away_after_the_old_one_was_set_aside_keep_it(
    site: Replotting, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose() -> None:
        for new in (path for drive in site.drives for path in drive.glob("*.gplot")):
            new.unlink()

    with at("after", lose, monkeypatch):
        assert not site.look()
    assert old.exists()
    assert "not on their drives any more" in site.report.why
    assert site.journal.deleted_bytes == 0


def test_a_plot_that_is_exchanged_after_it_was_opened_stays(
    site: Replotting, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that was opened is fine; the name leads to another one."""

    def exchange() -> None:
        copy = Path(shutil.copy2(old, old.with_suffix(".copy")))
        old.rename(old.with_suffix(".kept"))
        copy.rename(old)

    with at("before", exchange, monkeypatch):
        assert not site.look()
    assert old.exists()
    assert "was replaced by another file" in site.report.why


def test_a_plot_that_gets_its_name_back_keeps_its_digest(
    site: Replotting, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The renames change its ctime, by which a digest knows its file."""
    drive = str(old.parent)
    part_files.prepare(drive)
    digests.write(drive, old.name, digests.DigestEntry.of(old, "ab"))
    with at("after", lambda: pause(site), monkeypatch):
        assert not site.look()
    entry = digests.admitted(drive, old.name)
    assert entry is not None
    assert entry.digest == "ab"


def test_a_plot_stays_if_another_file_is_set_aside_under_its_name(site: Replotting, old: Path) -> None:
    part_files.prepare(str(old.parent))
    other_file = part_files.folder(str(old.parent)) / f"{old.name}{removal.ASIDE}"
    other_file.write_text("mine", encoding="utf-8")
    assert not site.look()
    assert "exists: look at both files" in site.report.why
    assert old.exists()
    assert other_file.read_text(encoding="utf-8") == "mine"
    assert site.journal.victim is None, "the other drives continue"


def test_bytes_that_were_freed_on_another_disk_are_no_room_here(
    site: Replotting, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "FREED_LATE_S", 1000.0)
    site.replacer._around.note_freed(str(site.drives[1]), 1 << 40)
    assert site.look()
    assert not old.exists()


def test_the_month_of_a_plot_is_looked_at_again(old_plots: list[Path], tmp_path: Path) -> None:
    plot = Path(shutil.copy(old_plots[0], tmp_path))
    with pytest.raises(Stays, match="not of class old"):
        Removal(
            victim_of(plot),
            OldClass("old", 18, made_before="2020-01"),
            must_be_mounted=False,
            may_go=lambda: None,
            deleting=lambda: None,
            settled=lambda: None,
        ).run()
    assert plot.exists()


def test_a_writer_that_comes_after_the_plot_was_set_aside_keeps_it(
    site: Replotting, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_aside = part_files.folder(str(old.parent)) / f"{old.name}{removal.ASIDE}"
    opened: list[Any] = []
    with at("after", lambda: opened.append(put_aside.open("r+b")), monkeypatch):
        assert not site.look()
    opened[0].close()
    assert old.exists()


def stop(site: Replotting) -> None:
    site.replotter.end(site.switch())


def pause(site: Replotting) -> None:
    site.replotter.pause(site.switch())


def another_order(site: Replotting) -> None:
    site.order({**OLD, "k": 32})


def yaml_off(site: Replotting) -> None:
    site.reconfigure(replot=False)


def no_proofs(site: Replotting) -> None:
    site.reconfigure(proofs=0)


def drain(site: Replotting) -> None:
    drive = str(site.drives[0])
    site.harvester.holds.hold(HoldOrder(host="h1", dir=drive), drive, "drained")


def drain_host(site: Replotting) -> None:
    site.harvester.holds.hold(HoldOrder(host="h1"), "all", "drained")


def disable(site: Replotting) -> None:
    site.reconfigure(disabled=[str(site.drives[0])])


def no_drive(site: Replotting) -> None:
    site.reconfigure(drives=[str(site.drives[1])])


def evacuated_elsewhere(site: Replotting) -> None:
    evacuated.mark(str(site.drives[0]), "of another harvester")


def failing_disk(site: Replotting) -> None:
    disks = site.harvester._disks
    device = next(d.device for d in site.harvester.drives.published() if d.path == str(site.drives[0]))
    assert device
    disks._known = {device: DiskHealth(names=("sda",), fails=True)}


def refused(site: Replotting) -> None:
    site.replotter.refused(str(site.drives[0]), "it is bad")


def more_room(site: Replotting) -> None:
    os.system(f"mount -o remount,size=90m {site.drives[0]}")


def closed(site: Replotting) -> None:
    site.replotter._journal.close()


def _id_of_old(site: Replotting) -> str:
    (old,) = site.drives[0].glob("**/*.plot*")
    return old.name.removesuffix(removal.ASIDE).removesuffix(".plot").rpartition("-")[2]


def is_taken_in(site: Replotting) -> None:
    site.kept = site.harvester.intake._locks.taking_in(_id_of_old(site))  # type: ignore[attr-defined]
    site.kept.__enter__()  # type: ignore[attr-defined]


def arrives(site: Replotting) -> None:
    """A plot of the same id, which is new by that."""
    credit = site.journal.credits[0].model_copy(update={"plot_id": _id_of_old(site)})
    site.replotter._journal.change(lambda now: ledger.landed(now, credit, False))


FORBIDS = [
    arrives,
    stop,
    pause,
    another_order,
    yaml_off,
    no_proofs,
    drain,
    drain_host,
    disable,
    no_drive,
    failing_disk,
    refused,
    more_room,
    is_taken_in,
]


@pytest.mark.parametrize("forbid", [*FORBIDS, evacuated_elsewhere])
def test_what_forbids_it_before_a_look_keeps_the_plot(
    site: Replotting, old: Path, forbid: Callable[[Replotting], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    if forbid not in (is_taken_in, evacuated_elsewhere):
        monkeypatch.setattr(removal, "_opened", lambda _: pytest.fail("it was touched"))
    forbid(site)
    assert not site.look()
    assert old.exists()
    assert site.journal.victim is None


@pytest.mark.parametrize("forbid", [*FORBIDS, closed])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_what_forbids_it_while_the_plot_is_in_work_keeps_the_plot(
    site: Replotting,
    old: Path,
    forbid: Callable[[Replotting], None],
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with at(moment, lambda: forbid(site), monkeypatch), contextlib.suppress(Exception):
        assert not site.look()
    assert old.exists()
    assert aside(old.parent) == []
    assert site.journal.deleted_bytes == 0


@pytest.mark.parametrize("forbid", FORBIDS)
def test_what_forbids_it_when_the_file_is_opened_leaves_it_untouched(
    site: Replotting, old: Path, forbid: Callable[[Replotting], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = removal._opened

    def opened(path: Path) -> Any:
        forbid(site)
        return real(path)

    monkeypatch.setattr(removal, "_opened", opened)
    monkeypatch.setattr(removal, "rename_new", lambda *_: pytest.fail("it was set aside"))
    assert not site.look()
    assert old.exists()


def test_a_journal_that_is_closed_when_the_file_is_opened_leaves_it_untouched(
    site: Replotting, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = removal._opened

    def opened(path: Path) -> Any:
        closed(site)
        return real(path)

    monkeypatch.setattr(removal, "_opened", opened)
    monkeypatch.setattr(removal, "rename_new", lambda *_: pytest.fail("it was set aside"))
    with pytest.raises(OrderRefused):
        site.look()
    assert old.exists()


@pytest.mark.parametrize("forbid", [stop, pause, another_order])
def test_after_the_answer_of_a_stop_no_deletion_begins(
    site: Replotting, old: Path, forbid: Callable[[Replotting], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last look at the order and the journal's step."""
    real, calls = site.replacer._must_be_allowed, []

    def allowed(*arguments: Any) -> None:
        real(*arguments)
        calls.append(1)
        if len(calls) == 2:
            forbid(site)

    monkeypatch.setattr(site.replacer, "_must_be_allowed", allowed)
    with pytest.raises(ValueError, match="the order was changed"):
        site.look()
    assert old.exists()
    assert len(calls) == 2


def test_a_read_only_drive_loses_no_plot(
    site: Replotting, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "_must_be_ready", lambda *_: pytest.fail("it was chosen"))
    os.system(f"mount -o remount,ro {old.parent}")
    try:
        assert not site.look()
        assert "is read-only" in site.report.why
        assert old.exists()
    finally:
        os.system(f"mount -o remount,rw {old.parent}")


def test_a_drive_that_went_away_since_the_look_is_not_touched(
    site: Replotting, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "look", lambda *_: DirReport(DirState.NOT_MOUNTED))
    monkeypatch.setattr(removal, "_opened", lambda _: pytest.fail("it was touched"))
    assert not site.look()
    assert "is not mounted" in site.report.why
    assert old.exists()


def test_a_drive_whose_free_space_is_not_known_loses_no_plot(
    site: Replotting, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DriveSurvey, "room_bytes", lambda *_: None)
    assert not site.look()
    assert "has free space that is not known" in site.report.why
    assert old.exists()


def test_an_evacuated_drive_loses_no_plot_by_this(site: Replotting, old: Path) -> None:
    site.harvester.evacuations.orders.add(EvacuateOrder(host="h1", dir=str(old.parent)), 1, 1)
    assert not site.look()
    assert "is evacuated" in site.report.why
    assert old.exists()


def test_a_drive_that_fails_is_skipped_and_the_order_stays(
    make_site: MakeSite, old_plots: list[Path], large_plots: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site("5m", "5m", "14m", proofs=1)
    site.put(site.drives[0], old_plots[0])
    site.put(site.drives[1], old_plots[1])
    site.order()
    site.arrive(*large_plots[:2])
    real = removal.whole

    def fails(path: str, header: Any) -> Any:
        if os.path.realpath(path).startswith(str(site.drives[0])):
            raise OSError(5, "Input/output error")
        return real(path, header)

    monkeypatch.setattr(removal, "whole", fails)
    assert not site.once()
    assert "Input/output error" in site.report.why
    assert site.report.state is ReplotState.RUNNING
    assert site.once(), "the other drive's plot goes"
    assert [*site.drives[0].glob("*.plot")]
    assert not [*site.drives[1].glob("*.plot")]


def test_a_drive_that_another_harvester_evacuates_does_not_hold_up_the_others(
    make_site: MakeSite, old_plots: list[Path], large_plots: list[Path]
) -> None:
    """Its mark is read only when a plot of it is in work."""
    site = make_site("5m", "5m", "14m", proofs=1)
    site.put(site.drives[0], old_plots[0])
    site.put(site.drives[1], old_plots[1])
    site.order()
    site.arrive(*large_plots[:2])
    evacuated.mark(str(site.drives[0]), "of another harvester")
    assert not site.once()
    assert "is evacuated by another harvester" in site.report.why
    assert site.once(), "the other drive's plot goes"
    assert [*site.drives[0].glob("*.plot")]
    assert not [*site.drives[1].glob("*.plot")]


def test_names_decide_nothing(
    make_site: MakeSite, old_plots: list[Path], new_plots: list[Path], large_plots: list[Path]
) -> None:
    """A new plot under an old one's name stays, and an old one under a new one's name goes."""
    site = make_site("6m", "14m", proofs=1)
    drive = site.drives[0]
    as_old = drive / f"plot-k18-2019-01-01-00-00-{new_plots[0].stem[-64:]}.plot"
    shutil.copy(new_plots[0], as_old)
    as_new = drive / f"plot-k18-{old_plots[0].stem[-64:]}.gplot"
    shutil.copy(old_plots[0], as_new)
    site.order(OLD)
    site.arrive(*large_plots[:2])
    assert site.once()
    assert as_old.exists()
    assert not as_new.exists()
    assert not site.once()
    assert site.journal.done


@pytest.mark.parametrize("what", ["linked", "truncated", "odd name", "group of them"])
def test_what_is_no_single_whole_plot_is_never_chosen(
    make_site: MakeSite, old_plots: list[Path], new_plots: list[Path], large_plots: list[Path], what: str
) -> None:
    site = make_site("5m", "14m", proofs=1)
    (old,) = site.put(site.drives[0], old_plots[0])
    if what == "linked":
        kept = old.rename(site.drives[0] / "plot")
        old.symlink_to(kept)
    elif what == "truncated":
        os.truncate(old, old.stat().st_size - 1)
    elif what == "odd name":
        old = old.rename(site.drives[0] / "holiday.plot")
    else:
        old.unlink()
        old = site.put(site.drives[0], new_plots[0])[0]
    site.order()
    site.arrive(*large_plots[:2])
    assert not site.once()
    assert os.path.lexists(old)
    assert "replot-refused" not in site.kinds(), "it was never in work"
    assert stat.S_ISREG(old.stat().st_mode)
