"""What lets a plot of an evacuated drive be deleted: each condition is broken alone, and the plot stays."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from common.errors import OrderRefused
from common.model.messages import EvacuateOrder
from common.model.pending import MoveStep, PendingMove
from common.store import Board
from common.system.delivered import DeliveredFile
from common.system.evacuations import orders_file
from common.system.probe import Probe
from harvester_worker.drives import digests, evacuated, part_files
from harvester_worker.drives.digests import DigestEntry
from harvester_worker.evacuation import release
from harvester_worker.evacuation.orders import KeptOrders
from harvester_worker.evacuation.release import EvacuatedPlots, put_back_all
from tests.support.bench import small_drive

HERE, OTHER = "h1", "h2"
DIGEST, WRONG = "0f" * 16, "ab" * 16


@dataclass
class Machine:
    """Harvester h1 with an evacuated drive, and a drive that stays; each is a file system."""

    board: Board
    state: Path
    old: Path
    new: Path
    plot: Path
    work: Probe = field(default_factory=Probe)

    def __post_init__(self) -> None:
        self.orders = KeptOrders(self.state)
        order = self.orders.add(EvacuateOrder(host=HERE, dir=str(self.old)), 1, self.plot.stat().st_size)
        self.order_id = order.id
        evacuated.mark(str(self.old), order.id)
        self.delivered = DeliveredFile(self.state)

    @property
    def copy(self) -> Path:
        return self.new / self.plot.name

    def sent(self, harvester: str = OTHER, digest: str = DIGEST) -> None:
        """Beat ordered the move, the archiver sent the plot, and the harvester has taken it in."""
        self.delivered.put(str(self.plot), harvester, self.plot.lstat(), digest)
        self.board.put_ordered(HERE, str(self.plot), "m", harvester)
        self.board.put_admitted(harvester, HERE, "m", str(self.plot), digest, evacuates=True)

    def landed(self, there: Path | None = None, digest: str = DIGEST) -> None:
        """A drive of this machine has the copy, taken in with this digest."""
        copy = (there or self.new) / self.plot.name
        shutil.copy(self.plot, copy)
        part_files.prepare(str(copy.parent))
        digests.write(str(copy.parent), copy.name, DigestEntry.of(copy, digest))

    def release(self, harvester: str = OTHER, path: Path | None = None, move: str = "m") -> bool:
        record = PendingMove(
            path=str(path or self.plot),
            harvester=harvester,
            size_bytes=1,
            step=MoveStep.RELEASE,
            expires_at=datetime.now(UTC) + timedelta(minutes=1),
            move=move,
        )
        plots = EvacuatedPlots(HERE, self.board, self.orders, self.work, self.delivered)
        return plots.release(record, [str(self.old), str(self.new)])

    def refuses(self, why: str, harvester: str = OTHER, path: Path | None = None, move: str = "m") -> None:
        with pytest.raises(OrderRefused, match=why):
            self.release(harvester, path, move)
        assert (path or self.plot).exists()


@pytest.fixture
def machine(board: Board, real_plot: Path, tmp_path: Path) -> Iterator[Machine]:
    old, new = tmp_path / "old", tmp_path / "new"
    with small_drive(old, "60m"), small_drive(new, "60m"):
        yield Machine(board, tmp_path / "state", old, new, Path(shutil.copy(real_plot, old)))


def test_a_plot_that_another_machine_has_taken_in_is_deleted_once(machine: Machine) -> None:
    machine.sent()
    part_files.prepare(str(machine.old))
    digests.write(str(machine.old), machine.plot.name, DigestEntry.of(machine.plot, DIGEST))
    assert machine.release()
    assert not machine.plot.exists()
    assert not (machine.old / ".incoming" / "digests" / machine.plot.name).exists()
    assert not machine.release(), "it was deleted before"


def test_a_plot_that_another_drive_of_the_machine_has_is_deleted(machine: Machine) -> None:
    machine.sent(HERE)
    machine.landed()
    assert machine.release(HERE)
    assert machine.copy.exists()


def test_without_an_operator_s_order_no_drive_loses_a_plot(machine: Machine) -> None:
    machine.sent()
    machine.orders.remove(str(machine.old))
    assert not orders_file(machine.state).exists()
    machine.refuses("is not on a drive of this host that is evacuated")


@pytest.mark.parametrize("path", ["{old}/../old/{name}", "{old}//{name}", "{old}/sub/{name}", "{new}/{name}"])
def test_only_plots_directly_on_the_drive_are_meant(machine: Machine, path: str) -> None:
    machine.landed()
    (machine.old / "sub").mkdir()
    shutil.copy(machine.plot, machine.old / "sub")
    named = path.format(old=machine.old, new=machine.new, name=machine.plot.name)
    machine.delivered.put(named, OTHER, Path(named).lstat(), DIGEST)
    machine.board.put_ordered(HERE, named, "m", OTHER)
    machine.board.put_admitted(OTHER, HERE, "m", named, DIGEST, evacuates=True)
    record = PendingMove(
        path=named,
        harvester=OTHER,
        size_bytes=1,
        step=MoveStep.RELEASE,
        expires_at=datetime.now(UTC),
        move="m",
    )
    plots = EvacuatedPlots(HERE, machine.board, machine.orders, machine.work, machine.delivered)
    with pytest.raises(OrderRefused, match="is not on a drive of this host that is evacuated"):
        plots.release(record, [str(machine.old), str(machine.new)])
    assert Path(named).exists()


def test_a_file_that_is_not_named_like_a_plot_is_never_meant(machine: Machine) -> None:
    photos = machine.old / "photos.tar"
    photos.write_bytes(b"photos")
    machine.refuses("is not on a drive of this host that is evacuated", path=photos)


def test_a_move_that_no_beat_ordered_deletes_nothing(machine: Machine) -> None:
    machine.sent()
    machine.refuses("No beat has ordered", move="another")
    machine.board.put_ordered(HERE, str(machine.plot), "m", "h3")
    machine.refuses("No beat has ordered")


def test_the_harvester_itself_must_have_taken_it_in(machine: Machine) -> None:
    machine.delivered.put(str(machine.plot), OTHER, machine.plot.lstat(), DIGEST)
    machine.board.put_ordered(HERE, str(machine.plot), "m", OTHER)
    machine.refuses("itself does not say that it has taken in")
    machine.board.put_admitted("h3", HERE, "m", str(machine.plot), DIGEST, evacuates=True)
    machine.refuses("itself does not say that it has taken in")
    machine.board.put_admitted(OTHER, HERE, "m", str(machine.plot), WRONG, evacuates=True)
    machine.refuses("itself does not say that it has taken in")


def test_what_was_never_sent_stays(machine: Machine) -> None:
    machine.board.put_ordered(HERE, str(machine.plot), "m", OTHER)
    machine.board.put_admitted(OTHER, HERE, "m", str(machine.plot), DIGEST, evacuates=True)
    machine.refuses("as it is now, was not sent")
    machine.delivered.put(str(machine.plot), "h3", machine.plot.lstat(), DIGEST)
    machine.refuses("as it is now, was not sent")


def _another_size(plot: Path) -> None:
    with plot.open("ab") as file:
        file.write(b"x")


def _another_time(plot: Path) -> None:
    os.utime(plot, ns=(0, 1))


@pytest.mark.parametrize("change", [_another_size, _another_time])
def test_a_file_that_was_changed_since_it_was_sent_stays(
    machine: Machine, change: Callable[[Path], None]
) -> None:
    machine.sent()
    change(machine.plot)
    machine.refuses("as it is now, was not sent")


def test_a_file_that_changes_at_the_last_moment_stays(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.sent()
    is_marked = evacuated.is_marked

    def changing(drive: str, order_id: str | None = None) -> bool:
        _another_time(machine.plot)
        return is_marked(drive, order_id)

    monkeypatch.setattr(evacuated, "is_marked", changing)
    machine.refuses("as it is now, was not sent")


def test_a_link_in_the_plot_s_place_stays(machine: Machine, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    machine.plot.rename(machine.old / "aside")
    elsewhere.write_bytes(b"x")
    machine.plot.symlink_to(elsewhere)
    machine.sent()
    machine.refuses("is a link, or has several names")


def test_a_plot_with_several_names_stays(machine: Machine) -> None:
    machine.sent()
    (machine.old / "second name").hardlink_to(machine.plot)
    machine.refuses("is a link, or has several names")


def test_a_file_that_is_being_written_stays(machine: Machine) -> None:
    machine.sent()
    with machine.plot.open("rb+"):
        machine.refuses("is being written")
    assert machine.release()


@pytest.mark.parametrize("mark", [None, "of another order"])
def test_without_the_mark_of_this_order_the_drive_may_be_anybody_s_copy(
    machine: Machine, mark: str | None
) -> None:
    machine.sent()
    (machine.old / ".incoming" / "evacuating").unlink()
    if mark is not None:
        evacuated.mark(str(machine.old), mark)
    machine.refuses("lacks the mark of its evacuation")


def test_an_order_that_ends_meanwhile_deletes_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.sent()
    digest = DeliveredFile.digest

    def ending(*arguments: object) -> str | None:
        machine.orders.remove(str(machine.old))
        return digest(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(DeliveredFile, "digest", ending)
    machine.refuses("has ended")


def test_a_plot_on_a_drive_that_dropped_out_was_not_deleted(machine: Machine) -> None:
    machine.sent()
    with (
        small_drive(machine.old, "5m"),
        pytest.raises(OrderRefused, match="lacks the mark of its evacuation"),
    ):
        machine.release()
    assert machine.release()


def test_a_note_that_says_nothing_of_evacuated_drives_is_not_enough(machine: Machine) -> None:
    """Any harvester may change the message by which another one takes a plot in."""
    machine.sent()
    machine.board.put_admitted(OTHER, HERE, "m", str(machine.plot), DIGEST)
    machine.refuses("itself does not say")


def test_a_plot_whose_copy_turns_out_to_be_itself_gets_its_name_back(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a pool of drives and one of its branches, which have different numbers of devices."""
    alias = tmp_path / "alias"
    alias.mkdir()
    machine.sent(HERE)
    part_files.prepare(str(machine.old))
    digests.write(str(machine.old), machine.plot.name, DigestEntry.of(machine.plot, DIGEST))
    content = machine.plot.read_bytes()

    def must_be_here(*_: object) -> None:
        if not (alias / machine.plot.name).exists():
            raise OrderRefused("No other drive has it.")

    monkeypatch.setattr(EvacuatedPlots, "_copy_must_be_here", must_be_here)
    subprocess.run(["mount", "--bind", machine.old, alias], check=True)
    try:
        machine.refuses("No other drive has it", HERE)
    finally:
        subprocess.run(["umount", alias], check=True)
    assert machine.plot.read_bytes() == content
    assert digests.admitted(str(machine.old), machine.plot.name) is not None, "it is still known as taken in"


def test_a_plot_that_was_set_aside_before_a_crash_gets_its_name_back(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.sent()

    def ended(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(release._Aside, "delete", ended)
    with pytest.raises(KeyboardInterrupt):
        machine.release()
    assert not machine.plot.exists()
    with pytest.raises(OrderRefused, match="is set aside"):
        machine.release()
    put_back_all(str(machine.old))
    assert machine.plot.exists()
    monkeypatch.undo()
    assert machine.release()
    assert not list(machine.old.rglob("*.leaving"))


def test_a_file_that_was_set_aside_before_is_never_overwritten(machine: Machine) -> None:
    machine.sent()
    aside = machine.old / ".incoming" / f"{machine.plot.name}.leaving"
    aside.write_bytes(b"another")
    machine.refuses("exists")
    assert aside.read_bytes() == b"another"
    put_back_all(str(machine.old))
    assert aside.exists(), "its name is taken"


def test_a_plot_that_cannot_be_renamed_keeps_no_other_aside(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    incoming = machine.old / ".incoming"
    names = [machine.plot.name.replace("k18", size) for size in ("k19", "k20", "k21")]
    for name in names:
        (incoming / f"{name}.leaving").write_bytes(b"x")

    def fails_for_the_second(path: Path, new: Path) -> None:
        if new.name == names[1]:
            raise OSError(5, "Input/output error")
        path.rename(new)

    monkeypatch.setattr(release, "rename_new", fails_for_the_second)
    with pytest.raises(OSError, match="Input/output"):
        put_back_all(str(machine.old))
    assert [(machine.old / name).exists() for name in names] == [True, False, True]


def test_only_plots_that_were_set_aside_get_a_name_on_the_drive(machine: Machine, tmp_path: Path) -> None:
    incoming = machine.old / ".incoming"
    (incoming / "photos.tar.leaving").write_bytes(b"x")
    linked = machine.plot.name.replace("k18", "k19")
    (incoming / f"{linked}.leaving").symlink_to(tmp_path)
    before = sorted(machine.old.iterdir())
    put_back_all(str(machine.old))
    assert sorted(machine.old.iterdir()) == before


# A move within the machine: its own copy must be there.


def test_the_source_is_no_copy_of_itself(machine: Machine) -> None:
    """The harvester took this plot in on the very drive that is evacuated."""
    machine.sent(HERE)
    part_files.prepare(str(machine.old))
    digests.write(str(machine.old), machine.plot.name, DigestEntry.of(machine.plot, DIGEST))
    machine.refuses("No other drive of this host has", HERE)


def test_a_copy_that_the_harvester_did_not_take_in_does_not_count(machine: Machine) -> None:
    machine.sent(HERE)
    shutil.copy(machine.plot, machine.copy)
    machine.refuses("No other drive of this host has", HERE)


def test_a_copy_with_other_content_does_not_count(machine: Machine) -> None:
    machine.sent(HERE)
    machine.landed(digest=WRONG)
    machine.refuses("No other drive of this host has", HERE)


def test_a_copy_that_was_changed_does_not_count(machine: Machine) -> None:
    machine.sent(HERE)
    machine.landed()
    _another_time(machine.copy)
    machine.refuses("No other drive of this host has", HERE)


def test_a_copy_on_a_drive_that_is_evacuated_does_not_count(machine: Machine) -> None:
    machine.sent(HERE)
    machine.landed()
    machine.orders.add(EvacuateOrder(host=HERE, dir=str(machine.new)), 1, 1)
    machine.refuses("No other drive of this host has", HERE)


def test_a_copy_on_a_drive_that_another_machine_evacuates_does_not_count(machine: Machine) -> None:
    machine.sent(HERE)
    machine.landed()
    evacuated.mark(str(machine.new), "of another machine")
    machine.refuses("No other drive of this host has", HERE)


def test_a_copy_in_another_folder_of_the_same_file_system_does_not_count(
    machine: Machine, tmp_path: Path
) -> None:
    folder = machine.old / "another drive"
    folder.mkdir()
    machine.sent(HERE)
    machine.landed(folder)
    machine.new = folder
    machine.refuses("No other drive of this host has", HERE)
